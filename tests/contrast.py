"""The contrast of colours in a style sheet, as WCAG 2.2 defines it."""

import re


def variables(style: str, scheme: str) -> dict[str, str]:
    """Return the colours that a style sheet names, without `--` and `#`, in one colour scheme.

    Args:
        style: its first rule for `:root` has the light colours, its second the dark ones.
        scheme: light or dark.
    """
    rules = re.findall(r":root \{([^}]*)\}", style)[0 if scheme == "light" else 1]
    return dict(re.findall(r"--([\w-]+): #(\w+)", rules))


def ratio(first: str, second: str) -> float:
    """Return the contrast of two colours, 1 to 21."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour by WCAG 2.2."""
    digits = colour if len(colour) == 6 else "".join(2 * digit for digit in colour)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
