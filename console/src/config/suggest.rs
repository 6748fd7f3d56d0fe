//! Finds the key that a misspelt one was meant to be.
//!
//! Refuses far-fetched suggestions: a wrong hint costs more time than none.

/// Returns the known word closest to `found`, if it is close enough to be meant.
pub(super) fn closest<'a>(found: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let found = found.replace('-', "_").to_lowercase();
    let allowed = (found.len() / 3).clamp(1, 3);
    known
        .map(|word| (distance(&found, word), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, word)| word)
}

/// Counts the letters to insert, remove, replace or swap with a neighbour.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let replaced = at(&last, j) + usize::from(l != r);
            let mut best = replaced.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let is_swap =
                i > 0 && j > 0 && left.get(i - 1) == Some(r) && right.get(j - 1) == Some(l);
            if is_swap {
                best = best.min(at(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = last;
        last = row;
    }
    at(&last, right.len())
}

#[cfg(test)]
mod tests {
    use super::closest;

    const KNOWN: [&str; 5] = ["url", "mode", "secret_file", "no_proxy", "hold_s_max"];

    #[test]
    fn misspelt_key_finds_the_meant_one() {
        let cases = [
            ("ulr", "url"),
            ("urls", "url"),
            ("Mode", "mode"),
            ("secret-file", "secret_file"),
            ("secretfile", "secret_file"),
            ("noproxy", "no_proxy"),
            ("hold_ms_max", "hold_s_max"),
        ];
        for (found, meant) in cases {
            assert_eq!(closest(found, KNOWN.into_iter()), Some(meant), "{found}");
        }
    }

    #[test]
    fn far_key_finds_none() {
        for found in ["", "x", "password", "verify", "listen", "hold"] {
            assert_eq!(closest(found, KNOWN.into_iter()), None, "{found}");
        }
    }
}
