"""The symbols that `formulas` supports, by their LaTeX names."""

GREEK = "alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ lambda λ mu μ nu ν xi ξ pi π rho ρ sigma σ varsigma ς tau τ phi ϕ varphi φ omega ω"
GREEK += " Gamma Γ Delta Δ Theta Θ Lambda Λ Pi Π Sigma Σ Phi Φ Omega Ω nabla ∇ partial ∂ infty ∞ ldots … cdots ⋯ ell ℓ"
LETTERS = {f"\\{name}": sign for name, sign in zip(GREEK.split()[::2], GREEK.split()[1::2], strict=True)}

SIGNS = (
    "le ≤ ge ≥ ne ≠ approx ≈ sim ∼ propto ∝ to → leftarrow ← Rightarrow ⇒ in ∈ cdot ⋅ times × odot ⊙ oplus ⊕ pm ± sum ∑ prod ∏ int ∫ mid |"
)
OPERATORS = {f"\\{name}": sign for name, sign in zip(SIGNS.split()[::2], SIGNS.split()[1::2], strict=True)}
OPERATORS |= {"\\|": "‖", "|": "|", "<": "&lt;", ">": "&gt;", "-": "−", "*": "∗", ":": ":"} | {sign: sign for sign in "+=/,;.!"}

OPENING = {"(": "(", "[": "[", "\\{": "{", "\\langle": "⟨", "\\lfloor": "⌊", "\\lceil": "⌈"}
CLOSING = {")": ")", "]": "]", "\\}": "}", "\\rangle": "⟩", "\\rfloor": "⌋", "\\rceil": "⌉"}
SIZES = {f"\\{size}{side}": em for size, em in (("big", 1.2), ("Big", 1.8), ("bigg", 2.4), ("Bigg", 3)) for side in "lr"}

NAMES = "arctan log exp sin cos tan sinh cosh tanh det min max lim tr"
FUNCTIONS = {f"\\{name}": name for name in NAMES.split()}
LIMITS = {"\\sum", "\\prod", "\\min", "\\max", "\\lim"}
SPACES = {"\\,": 0.17, "\\:": 0.22, "\\;": 0.28, "\\ ": 0.25, "\\quad": 1, "\\qquad": 2}
ACCENTS = {"\\bar": "¯", "\\hat": "^", "\\tilde": "~", "\\dot": "˙"}

TEXT = "signal noise data velocity width rate decay scale shift emb end features floor label levels limit nats offset out peak simple start"
TEXT += " step target total unconditional conditional vlb warmup word dscale dshift min max gap CFM FM SW hi lo"
WORDS = set(TEXT.split())


def script(letter: str) -> str:
    """A calligraphic capital."""
    known = {"B": "ℬ", "E": "ℰ", "F": "ℱ", "H": "ℋ", "I": "ℐ", "L": "ℒ", "M": "ℳ", "R": "ℛ"}
    return known.get(letter) or chr(0x1D49C + ord(letter) - ord("A"))
