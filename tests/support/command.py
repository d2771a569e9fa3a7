"""The command `bilabial`, in this process."""

from bilabial.cli import main


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def told(capsys) -> str:
    """What the command said on stderr: one line."""
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("bilabial: ") and err.count("\n") == 1 and "Traceback" not in err
    return err
