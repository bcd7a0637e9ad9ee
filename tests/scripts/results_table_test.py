"""Checks scripts/results-table on results made by hand:
results_table_test.py PATH_OF_RESULTS_TABLE"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = sys.argv.pop(1)


def run(*folders):
    return subprocess.run([sys.executable, SCRIPT, *map(str, folders)],
                          text=True, capture_output=True, check=False)


def row(method, view, seed, nmi, acc, **others):
    return {"dataset": "toys", "method": method, "view": view, "seed": seed,
            "n": 9, "k": 3, "nmi": nmi, "acc": acc, "km_nmi": None,
            "settings": "", "input": "0", **others}


class ResultsTable(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(
            prefix="shoal-results-table-test-")
        self.addCleanup(self.temporary.cleanup)

    def folder(self, name, rows, curves=()):
        """curves: of the rows, in their order."""
        folder = pathlib.Path(self.temporary.name) / name
        (folder / "runs").mkdir(parents=True)
        (folder / "results.json").write_text(json.dumps(rows))
        for number, curve in enumerate(curves):
            (folder / "runs" / f"{number}.json").write_text(
                json.dumps({"labels": [], "curve": curve}))
        return folder

    def lines(self, *folders):
        result = run(*folders)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.splitlines()

    def test_views_by_methods_then_the_methods_over_all_views(self):
        lines = self.lines(self.folder("out", [
            row("km", "hog", 0, 0.5, 0.25), row("km", "hog", 1, 0.75, 0.5),
            row("jule", "hog", 0, 0.875, 1), row("jule", "hog", 1, 0.875, 1),
            row("km", "net", 0, 0.5, 0.5), row("km", "net", 1, 0.5, 0.5),
            row("cc-km", "all", 0, 0.25, 0.1), row("cc-km", "all", 1, 0.25, 0),
            row("mvec-jule", "all", 0, 0.125, 1),
            row("dmvc-fix-jule", "all", 0, 0.6, 1),
            row("dmvc", "all", 0, 0.7, 1), row("dmvc", "all", 1, 0.9, 1)]))
        self.assertEqual(lines[:12], [
            "toys: 9 images, K = 3, seeds: 2", "", "NMI:", "",
            "|  | KM | JULE |",
            "|---|---|---|",
            "| hog | 0.625 +- 0.177 | 0.875 +- 0.000 |",
            "| net | 0.500 +- 0.000 |  |",
            "| CC | 0.250 +- 0.000 |  |",
            "| MVEC |  | 0.125 (1) |",
            "| DMVC-fix |  | 0.600 (1) |",
            "| DMVC |  | 0.800 +- 0.141 |"])
        acc = lines.index("ACC:")
        self.assertEqual(lines[acc + 4],
                         "| hog | 0.375 +- 0.177 | 1.000 +- 0.000 |")
        self.assertFalse([line for line in lines if "Transfer" in line])

    def test_k_means_from_the_features_to_what_each_method_learned(self):
        lines = self.lines(self.folder("out", [
            row("km", "hog", 0, 0.5, 1), row("jule", "hog", 0, 0, 1, km_nmi=0.6),
            row("km", "net", 0, 0.4, 1), row("jule", "net", 0, 0, 1, km_nmi=0.7),
            row("cc-km", "all", 0, 0.55, 1),
            row("mvec-jule", "all", 0, 0.99, 1),
            row("dmvc-fix-jule", "all", 0, 0, 1, km_nmi=0.8),
            row("dmvc", "all", 0, 0, 1, km_nmi=0.9)]))
        start = lines.index("|  | features | JULE | DMVC-fix (JULE) | DMVC |")
        self.assertEqual(lines[start + 2:start + 5], [
            "| hog | 0.500 | 0.600 |  |  |",
            "| net | 0.400 | 0.700 |  |  |",
            "| all views | 0.550 |  | 0.800 | 0.900 |"])

    def test_transfer_from_each_boot_view_with_eta(self):
        # Means over the seeds before: 0.3 and 0.5; after: 0.8 and 0.8.
        lines = self.lines(self.folder("out", [
            row("tl-km", "hog", 0, 0.7, 0.9), row("tl-km", "hog", 1, 0.9, 0.9),
            row("tl-km", "rp", 0, 0.8, 0.9), row("tl-km", "rp", 1, 0.8, 0.9)],
            [[[0, 0.2, 0.1, 0], [1, 0.7, 0.9, 1]], [[0, 0.4, 0.1, 0]],
             [[0, 0.5, 0.3, 0]], [[0, 0.5, 0.3, 0]]]))
        start = lines.index("Transfer learning from KM:")
        self.assertEqual(lines[start + 2:start + 7], [
            "| boot view | NMI before | after | ACC before | after |",
            "|---|---|---|---|---|",
            "| hog | 0.300 +- 0.141 | 0.800 +- 0.141 | 0.100 +- 0.000 "
            "| 0.900 +- 0.000 |",
            "| rp | 0.500 +- 0.000 | 0.800 +- 0.000 | 0.300 +- 0.000 "
            "| 0.900 +- 0.000 |",
            "| eta | 0.354 | 0.000 | 0.707 | 0.000 |"])
        self.assertNotIn("NMI:", lines)

    def test_one_boot_view_has_no_eta(self):
        lines = self.lines(self.folder(
            "out", [row("tl-gmm", "rp", 0, 0.8, 0.9)], [[[0, 0.5, 0.4, 0]]]))
        self.assertIn("| rp | 0.500 | 0.800 | 0.400 | 0.900 |", lines)
        self.assertFalse([line for line in lines if "eta" in line])

    def test_folders_of_the_same_images_share_tables_and_others_do_not(self):
        lines = self.lines(
            self.folder("one", [row("km", "hog", 0, 0.5, 1)]),
            self.folder("two", [row("km", "net", 0, 0.6, 1),
                                row("km", "net", 0, 0.7, 1, n=8)]))
        self.assertEqual([line for line in lines if "images" in line],
                         ["toys: 9 images, K = 3, seeds: 1",
                          "toys: 8 images, K = 3, seeds: 1"])
        hog = lines.index("| hog | 0.500 |")
        self.assertEqual(lines[hog + 1], "| net | 0.600 |")

    def test_the_last_settings_of_a_method_count(self):
        lines = self.lines(self.folder("out", [
            row("cc-km", "all", 0, 0.5, 1, settings="views=a"),
            row("cc-km", "all", 0, 0.6, 1, settings="views=b"),
            row("cc-km", "all", 1, 0.9, 1, settings="views=a")]))
        self.assertIn("| CC | 0.600 |", lines)

    def test_a_run_that_is_in_two_folders_is_refused(self):
        rows = [row("km", "hog", 0, 0.5, 1)]
        result = run(self.folder("one", rows), self.folder("two", rows))
        self.assertEqual(result.returncode, 1)
        self.assertIn("km on hog with seed 0 is in", result.stderr)

    def test_says_what_is_wrong_with_a_folder(self):
        short = row("km", "hog", 0, 0.5, 1)
        del short["acc"]
        for name, content in (("object", {"a": 1}), ("short", [short]),
                              ("number", 3)):
            result = run(self.folder(name, content))
            self.assertEqual(result.returncode, 1, result.stdout)
            self.assertIn(f"{name}/results.json is not of shoal-eval",
                          result.stderr)
        result = run(pathlib.Path(self.temporary.name) / "none")
        self.assertEqual(result.returncode, 1)
        self.assertIn("results-table: ", result.stderr)
        result = run(self.folder("cut", [row("tl-km", "rp", 0, 1, 1)], [[]]))
        self.assertEqual(result.returncode, 1)
        self.assertIn("runs/0.json is not of shoal-eval", result.stderr)


if __name__ == "__main__":
    unittest.main()
