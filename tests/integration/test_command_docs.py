"""What docs/command.md says works."""

import os
import re
import shlex
import shutil
import subprocess
import sys

from support.paths import EXAMPLE, ROOT

from bilabial.cli import app, main
from bilabial.delivery.findings import LIMITS
from bilabial.delivery.lines import COLUMNS

TEXT = (ROOT / "docs" / "command.md").read_text()
COMMANDS = [
    line for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines() if line
]


def test_the_commands_run(tmp_path, monkeypatch):
    """One after another in one folder; one with a pipe in a shell of its own."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(EXAMPLE, "speech.wav")
    (tmp_path / "dialogue").mkdir()
    shutil.copy(EXAMPLE, "dialogue/line.flac")
    (tmp_path / "lines.csv").write_text("file,text\nline.flac,Hello\n")
    assert len(COMMANDS) > 8
    for line in COMMANDS:
        command = line.split(" #")[0].strip()
        if "|" in command:
            script = command.replace("bilabial", f"{shlex.quote(sys.executable)} -m bilabial")
            environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
            assert subprocess.run(["bash", "-c", script], env=environment).returncode == 0, line
        else:
            program, *arguments = shlex.split(command)
            assert program == "bilabial" and main(arguments) == 0, line
    for name in ("face.csv", "face.npz", "face.json", "face.html", "piped.csv", "out/speech.glb"):
        assert (tmp_path / name).stat().st_size > 0, name
    assert (tmp_path / "piped.csv").read_bytes() != b"" and (tmp_path / "delivery" / "report.html").is_file()


def test_every_command_column_and_finding_is_told():
    for command in (*app.registered_commands, *app.registered_groups):
        name = command.name or command.typer_instance.info.name
        assert f"bilabial {name}" in TEXT, name
    for name in (*COLUMNS, *(limit.kind for limit in LIMITS)):
        assert f"`{name}`" in TEXT, name
