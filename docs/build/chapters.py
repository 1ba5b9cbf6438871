"""The order of the book: its parts, their pages, and for each page the modules whose public functions it shows."""

PARTS: dict[str, dict[str, list[str]]] = {
    "Start": {"index": [], "tutorial": [], "recipes": ["plots"], "notation": [], "map": []},
    "Process": {
        "schedules": ["tables", "schedules", "grids"],
        "gaussian": ["gaussian"],
        "forward": ["forward"],
        "reverse": ["reverse"],
        "predict": ["predict"],
    },
    "Objectives": {
        "elbo": ["elbo"],
        "latent": ["latent"],
        "flow": ["flow", "flow_times"],
        "score_matching": ["score_matching"],
        "transport": ["transport", "bridge"],
    },
    "Sampling": {
        "samplers": ["generation", "ode", "samplers", "picard"],
        "guidance": ["guidance"],
        "oracles": ["mixture", "oracles", "maps"],
    },
    "Continuous time": {
        "sde": ["sde", "brownian", "fokker_planck"],
        "langevin": ["langevin"],
        "likelihood": ["likelihood"],
        "vdm": ["vdm", "learned_schedule"],
        "solvers": ["nodes", "exponential", "adams", "methods", "stages", "times", "orders"],
        "edm": ["edm", "edm_training"],
    },
    "Networks": {
        "layers": ["layers"],
        "convolution": ["convolution", "normalize"],
        "attention": ["attention"],
        "mlp": ["mlp"],
        "unet": ["residual", "unet", "unet_init", "classifier"],
    },
    "Training": {"training": ["optim", "training", "classification", "tree"], "rng": ["rng"], "checkpoint": ["checkpoint"]},
    "Data": {"data": ["data", "images", "idx", "mnist", "fashion"], "metrics": ["metrics", "feature_metrics"]},
    "Fast": {"fast": ["fast.layers", "fast.convolution", "fast.norm", "fast.winograd", "fast.winograd_up", "fast.matmul"]},
    "Conformance": {"validate": [], "vectors": [], "report": [], "pipe": [], "departures": []},
    "GPU": {"gpu": []},
    "About": {"numerics": [], "gallery": [], "mutation": [], "contributing": [], "changelog": [], "errata": [], "references": []},
}
PAGES = {page: modules for part in PARTS.values() for page, modules in part.items()}
