"""Checks the demo's image maker: demo_images_test.py PATH_OF_PROGRAM"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)


def run(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], text=True,
                          capture_output=True, check=False)


def images(folder):
    return {str(file.relative_to(folder)): file.read_bytes()
            for file in pathlib.Path(folder).rglob("*.jpg")}


class DemoImages(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="shoal-demo-test-")
        self.folder = pathlib.Path(self.temporary.name)
        self.addCleanup(self.temporary.cleanup)

    def render(self, name, *arguments):
        result = run(self.folder / name, *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return images(self.folder / name)

    def test_renders_n_images_of_each_of_20_kinds(self):
        made = self.render("a", "-n", 2)
        kinds = {name.split("/")[0] for name in made}
        self.assertEqual(len(kinds), 20)
        self.assertEqual(set(made), {f"{kind}/{i:03d}.jpg" for kind in kinds
                                     for i in range(2)})
        for data in made.values():
            self.assertEqual(data[:3], b"\xff\xd8\xff")
            self.assertEqual(data[-2:], b"\xff\xd9")

    def test_no_two_images_are_the_same(self):
        made = self.render("a", "-n", 3)
        self.assertEqual(len(set(made.values())), len(made))

    def test_the_same_seed_gives_the_same_images_whatever_the_number(self):
        few = self.render("a", "-n", 1, "--seed", 7)
        more = self.render("b", "-n", 2, "--seed", 7)
        self.assertEqual(few, {k: v for k, v in more.items() if k in few})

    def test_another_seed_gives_other_images(self):
        first = self.render("a", "-n", 1, "--seed", 1)
        second = self.render("b", "-n", 1, "--seed", 2)
        self.assertFalse(set(first.values()) & set(second.values()))

    def test_says_what_is_wrong(self):
        file = self.folder / "file"
        file.write_text("")
        result = run(file / "below")
        self.assertEqual(result.returncode, 1)
        self.assertIn(str(file), result.stderr)
        self.assertNotEqual(run().returncode, 0)
        self.assertNotEqual(run(self.folder, "-n", 0).returncode, 0)


if __name__ == "__main__":
    unittest.main()
