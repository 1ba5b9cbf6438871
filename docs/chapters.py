"""The order of the book: parts, their pages, and the modules whose every public function a page has to show."""

PARTS: dict[str, dict[str, list[str]]] = {
    "Start": {"index": [], "tutorial": [], "notation": [], "map": []},
    "Noise": {
        "schedules": ["tables", "schedules"],
        "gaussian": ["gaussian"],
        "forward": ["forward"],
        "reverse": ["reverse"],
        "predict": ["predict"],
    },
    "Bounds and flows": {"elbo": ["elbo"], "latent": ["latent"], "flow": ["flow"]},
    "Sampling": {"samplers": ["ode", "samplers"], "guidance": ["guidance", "classifier"], "oracles": ["oracles"]},
    "Networks": {
        "layers": ["layers"],
        "convolution": ["convolution", "normalize"],
        "attention": ["attention"],
        "mlp": ["mlp"],
        "unet": ["residual", "unet", "unet_init"],
        "fast": ["fast", "fast_images", "fast_norm", "winograd", "winograd_up", "products"],
    },
    "Practice": {
        "data": ["data", "mnist"],
        "training": ["optim", "training", "tree"],
        "rng": ["rng"],
        "metrics": ["metrics"],
        "io": ["io"],
    },
    "Check your code": {"validate": [], "vectors": [], "report": [], "pipe": [], "departures": []},
    "About": {
        "numerics": [],
        "gallery": [],
        "gpu": [],
        "mutation": [],
        "contributing": [],
        "errata": [],
        "references": [],
    },
}
PAGES = {page: modules for part in PARTS.values() for page, modules in part.items()}
