"""Checks scripts/nmi.py against known values: nmi_test.py PATH_OF_NMI_PY"""

import subprocess
import sys
import unittest

SCRIPT = sys.argv.pop(1)


def run(text):
    return subprocess.run([sys.executable, SCRIPT], input=text, text=True,
                          capture_output=True, check=False)


def score(truth, label):
    result = run("".join(f"{a}\t{b}\n" for a, b in zip(truth, label)))
    assert result.returncode == 0, result.stderr
    return float(result.stdout)


class Nmi(unittest.TestCase):
    def test_is_one_for_the_same_partition_under_other_names(self):
        self.assertEqual(score("aabbcc", "332211"), 1)

    def test_is_zero_for_independent_labellings(self):
        self.assertEqual(score("aabb", "1212"), 0)

    def test_equals_scikit_learns_geometric_values(self):
        # normalized_mutual_info_score(..., average_method="geometric") of
        # scikit-learn 1.2.1.
        self.assertAlmostEqual(score("aaabbbccc", "112223331"), 0.42061984, 6)
        self.assertAlmostEqual(score("aaaabb", "112233"), 0.76117026, 6)
        self.assertAlmostEqual(score("abcdabcd", "11112223"), 0.24192896, 6)

    def test_a_single_group_on_one_side_only_scores_zero(self):
        self.assertEqual(score("aabb", "1111"), 0)
        self.assertEqual(score("aaaa", "1111"), 1)

    def test_labels_may_hold_spaces_and_blank_lines_are_skipped(self):
        result = run("traffic light\t1\n\ncar\t2\r\n")
        self.assertEqual(result.stdout, "1.000000\n")

    def test_refuses_what_is_not_two_fields(self):
        for text in ("", "\n", "a\n", "a\tb\tc\n"):
            result = run(text)
            self.assertEqual(result.returncode, 1, text)
            self.assertIn("nmi.py:", result.stderr)


if __name__ == "__main__":
    unittest.main()
