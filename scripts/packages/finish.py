"""Bytecode and zips, made by the interpreter that is chosen for it; this file is handed to it alone, as a script.

    python finish.py JOB.json     or, inside Pyodide, with sys.argv set

Bytecode is `unchecked-hash`: it is taken whatever times and places the files have. Zips hold sorted files of one time
and one mode. zlib compresses differently from build to build, so the same interpreter packs as well as compiles.
"""

import importlib._bootstrap_external
import importlib.util
import json
import pathlib
import sys
import zipfile

EPOCH = (1980, 1, 1, 0, 0, 0)


def compile_tree(root: pathlib.Path, deployed: str) -> None:
    """`deployed` is where the tree lies on Lambda: tracebacks name that place, and no bytecode this machine's."""
    for source in sorted(root.rglob("*.py")):
        content = source.read_bytes()
        code = compile(
            content, f"{deployed}/{source.relative_to(root).as_posix()}", "exec", dont_inherit=True, optimize=0
        )
        # The functions behind py_compile, which can't be told where the file will lie.
        packed = importlib._bootstrap_external._code_to_hash_pyc(  # type: ignore[attr-defined]
            code, importlib.util.source_hash(content), False
        )
        bytecode = source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        bytecode.parent.mkdir(exist_ok=True)
        bytecode.write_bytes(packed)


def pack(root: pathlib.Path, archive: pathlib.Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(root.rglob("*"), key=lambda path: path.relative_to(root).as_posix()):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(root).as_posix(), EPOCH)
                entry.create_system = 3
                entry.external_attr = 0o100644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                packed.writestr(entry, path.read_bytes())


def main(job: pathlib.Path) -> None:
    """The job's paths are relative to its own folder, which may be mounted anywhere."""
    wanted = json.loads(job.read_text())
    for tree in wanted["compile"]:
        compile_tree(job.parent / tree["root"], tree["deployed"])
    for archive in wanted["pack"]:
        pack(job.parent / archive["root"], job.parent / archive["archive"])
    (job.parent / "interpreter").write_text(sys.version.split()[0])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
