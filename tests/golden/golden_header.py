"""Writes C++ headers with golden values for the generators of this folder."""

import pathlib

import numpy
import scipy
import sklearn


def _number(value, integer):
    return str(int(value)) if integer else f"{float(value):.9g}"


def _array(name, values):
    flat = numpy.asarray(values).ravel()
    integer = numpy.issubdtype(flat.dtype, numpy.integer)
    kind = "int" if integer else "double"
    words = ", ".join(_number(v, integer) for v in flat)
    lines, line = [], "   "
    for word in words.split(" "):
        if len(line) + 1 + len(word) > 79:
            lines.append(line)
            line = "   "
        line += " " + word
    lines.append(line)
    body = "\n".join(lines)
    return f"inline constexpr {kind} {name}[] = {{\n{body}}};\n"


def write(script, seed, namespace, entries):
    """Writes <script>_golden.h; an entry is (name, array or number)."""
    path = pathlib.Path(script).resolve()
    parts = [
        "#pragma once",
        "",
        f"// Made by tests/golden/{path.name} (python3 tests/golden/"
        f"{path.name})",
        f"// with numpy {numpy.__version__}, scipy {scipy.__version__}, "
        f"scikit-learn {sklearn.__version__};",
        f"// seed {seed}. Tolerances are in the tests. Do not edit.",
        "",
        f"namespace shoal::golden::{namespace} {{",
        "",
        "// clang-format off",
    ]
    for name, value in entries:
        if numpy.ndim(value) == 0:
            integer = isinstance(value, (int, numpy.integer))
            kind = "int" if integer else "double"
            parts.append(
                f"inline constexpr {kind} {name} = "
                f"{_number(value, integer)};"
            )
        else:
            parts.append(_array(name, value).rstrip("\n"))
    parts += ["// clang-format on", "", f"}}  // namespace shoal::golden::{namespace}", ""]
    path.with_name(path.stem + "_golden.h").write_text("\n".join(parts))
