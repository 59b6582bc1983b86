//! What the test programs said, added up.
//!
//! In: the output of `cargo test`, line by line. Out: counts, and the names of the tests that failed.
//! The closing line of each test program is `test result: ok. 12 passed; 0 failed; 1 ignored; ...`.

/// Counts over many test programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    pub(crate) failed_names: Vec<String>,
}

impl Tally {
    /// Takes one line of output; a line that is neither a result nor a failure changes nothing.
    pub(crate) fn read_line(&mut self, line: &str) {
        if let Some(counts) = line.trim_start().strip_prefix("test result: ") {
            self.read_counts(counts);
        } else if let Some(rest) = line.strip_prefix("test ")
            && let Some(name) = rest.strip_suffix(" ... FAILED")
        {
            self.failed_names.push(name.to_owned());
        }
    }

    pub(crate) fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.failed_names.extend(other.failed_names);
    }

    fn read_counts(&mut self, counts: &str) {
        let (_, counts) = counts.split_once(". ").unwrap_or(("", counts));
        for part in counts.split(';') {
            let Some((number, what)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(output: &str) -> (u64, u64, u64) {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read_line(line));
        (tally.passed, tally.failed, tally.ignored)
    }

    #[test]
    fn result_lines_add_up_and_all_else_is_ignored() {
        const ONE: &str =
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.00s";
        const TWO: &str = "test result: FAILED. 2 passed; 1 failed; 0 ignored\ntest result: ok. 3 passed; 0 failed; 0 ignored";
        let cases = [
            ("nothing said", "", (0, 0, 0)),
            ("one program", ONE, (12, 0, 1)),
            ("two programs, one failing", TWO, (5, 1, 0)),
            ("a test that prints numbers", "7 passed; 7 failed\nrunning 7 tests", (0, 0, 0)),
            ("a cut line", "test result: ok.", (0, 0, 0)),
        ];
        for (name, output, expected) in cases {
            assert_eq!(counts(output), expected, "{name}");
        }
    }

    #[test]
    fn failed_tests_are_named() {
        let mut tally = Tally::default();
        tally.read_line("test key::refuses_rsa_16384 ... FAILED");
        tally.read_line("test key::accepts_p256 ... ok");
        assert_eq!(tally.failed_names, ["key::refuses_rsa_16384"]);
    }
}
