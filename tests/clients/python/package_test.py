"""The Python package as `cmake --install` and a wheel carry it.

usage: package_test.py BUILD-DIR CLIENTS-PYTHON"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD_DIR, PACKAGE = map(pathlib.Path, sys.argv[1:3])


def sources(folder):
    return {path.name for path in pathlib.Path(folder).iterdir()
            if path.is_file()}


class Installed(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="shoal-package-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def run_python(self, path, *arguments):
        # From a folder that has no shoal of its own.
        return subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, text=True,
            env={**os.environ, "PYTHONPATH": str(path)}, check=True,
            capture_output=True).stdout

    def check(self, path):
        self.assertEqual(sources(path / "shoal"), sources(PACKAGE / "shoal"))
        text = self.run_python(
            path, "-c", "import shoal, shoal.scrapy; print(shoal.__file__)")
        self.assertEqual(text.strip(), str(path / "shoal" / "__init__.py"))
        help_text = self.run_python(path, "-m", "shoal", "--help")
        self.assertIn("Exit codes", help_text)

    def test_by_cmake(self):
        subprocess.run(
            ["cmake", "--install", BUILD_DIR, "--component", "python",
             "--prefix", self.folder], check=True, capture_output=True)
        self.check(self.folder / "lib/python3/dist-packages")
        documents = self.folder / "share/doc/shoal/python"
        self.assertTrue((documents / "README.md").is_file())
        example = documents / "examples/crawl_site.py"
        self.assertTrue(os.access(example, os.X_OK))
        self.run_python(self.folder / "lib/python3/dist-packages", example,
                        "--help")

    def test_by_setuptools(self):
        copy = self.folder / "source"
        shutil.copytree(PACKAGE, copy)
        # As Debian's build helper does it, without a network.
        target = self.folder / "wheel"
        subprocess.run(
            [sys.executable, "-c", "import sys; from setuptools import "
             "build_meta; print(build_meta.build_wheel(sys.argv[1]))",
             self.folder], cwd=copy, check=True, capture_output=True)
        wheel = list(self.folder.glob("shoal-*.whl"))
        self.assertEqual(len(wheel), 1)
        shutil.unpack_archive(wheel[0], target, "zip")
        self.check(target)
        sys.path.insert(0, str(PACKAGE))
        import shoal
        metadata = (target / ("shoal-%s.dist-info" % shoal.__version__)
                    / "METADATA").read_text()
        for line in ("Name: shoal", "Requires-Dist: pyzmq (>=24)",
                     "Requires-Dist: msgpack (>=1.0)"):
            self.assertIn(line, metadata)


class Documented(unittest.TestCase):
    def test_every_public_name_is_in_the_package(self):
        import shoal
        for name in shoal.__all__:
            self.assertTrue(hasattr(shoal, name), name)
        self.assertEqual(shoal.__all__, sorted(shoal.__all__))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
