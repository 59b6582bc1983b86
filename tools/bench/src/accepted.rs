//! Which misses are accepted: those that docs/performance.md tells with a profile of where the time goes.
//!
//! Under the heading `## Accepted misses`: `### ` and the row's id in backquotes, and below it lines with shares in
//! percent. A miss without a profile is not accepted.

/// Shares that a profile has at least.
const SHARES_MIN: usize = 3;
const HEADING: &str = "## Accepted misses";

/// Ids of accepted misses in the text of the page.
pub(crate) fn accepted(page: &str) -> Vec<String> {
    let part = page.lines().skip_while(|line| line.trim() != HEADING).skip(1);
    let mut found: Vec<(String, usize)> = Vec::new();
    for line in part.take_while(|line| !line.starts_with("## ")) {
        if let Some(id) = line.strip_prefix("### `").and_then(|rest| rest.split('`').next()) {
            found.push((id.to_owned(), 0));
        } else if line.contains('%')
            && let Some((_, shares)) = found.last_mut()
        {
            *shares += 1;
        }
    }
    found.into_iter().filter(|(_, shares)| *shares >= SHARES_MIN).map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_is_accepted_by_its_profile_under_the_heading_only() {
        let profile = "10 % a\n20 % b\n30 % c\n";
        for (name, page, expected) in [
            ("with a profile", format!("## Accepted misses\n\n### `start`\n\n{profile}"), vec!["start"]),
            ("without one", "## Accepted misses\n\n### `start`\n\nIt is slow.\n".to_owned(), vec![]),
            ("elsewhere", format!("## Numbers\n\n### `start`\n\n{profile}"), vec![]),
            ("after the part", format!("## Accepted misses\n\n## More\n\n### `start`\n\n{profile}"), vec![]),
        ] {
            assert_eq!(accepted(&page), expected, "{name}");
        }
    }
}
