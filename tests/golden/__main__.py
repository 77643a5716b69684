"""Write what the programs say of the corpus now; the diff is for a person to judge."""

from tests.golden.corpus import PODS, cases
from tests.golden.expectations import expected_files
from tests.golden.warnings import WARNINGS, expected_warnings


def main() -> None:
    """Write every expectation, remove those of pods that are gone, and say what changed."""
    wanted = expected_files()
    pods = {f"{each.name}.yaml" for each in cases()}
    for path in sorted(PODS.glob("*.yaml")):
        if path.name not in wanted and path.name not in pods:
            path.unlink()
            print(f"removed {path.name}")
    for name, text in wanted.items():
        path = PODS / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote {name}")
    WARNINGS.write_text(expected_warnings())


main()
