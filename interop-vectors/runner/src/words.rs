//! Splits a command line as a shell would, and compares names with patterns.
//!
//! Refuses what only a shell can do: no variables, no pipes, no substitution.

/// Splits a command into its words: blanks separate, quotes and backslashes keep them.
///
/// # Errors
/// A quote that does not end, or no word at all.
pub(crate) fn split(command: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some('\''), _) | (Some(_), '\'') => word.get_or_insert_default().push(character),
            (_, '\\') => match characters.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err("a backslash ends the command".into()),
            },
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err("a quote does not end".into());
    }
    words.extend(word);
    if words.is_empty() {
        return Err("the command is empty".into());
    }
    Ok(words)
}

/// Tells whether a name fits a pattern in which `*` stands for any characters and `?` for one.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut from) = (0, 0);
    // Where the newest star stood, and what it has taken up to.
    let mut star: Option<(usize, usize)> = None;
    while from < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || name.get(from) == Some(wanted) => {
                at += 1;
                from += 1;
            }
            Some(_) | None => {
                let Some((place, taken)) = star else {
                    return false;
                };
                star = Some((place, taken + 1));
                (at, from) = (place + 1, taken + 1);
            }
        }
    }
    pattern.iter().skip(at).all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::{fits, split};

    #[test]
    fn command_is_split_as_a_shell_would() {
        for (command, words) in [
            ("./impl child", vec!["./impl", "child"]),
            ("  a   b ", vec!["a", "b"]),
            ("'a b' \"c d\" e\\ f", vec!["a b", "c d", "e f"]),
            ("a'b'c \"it's\" ''", vec!["abc", "it's", ""]),
            ("\"a\\\"b\" 'c\\d'", vec!["a\"b", "c\\d"]),
            ("a $HOME | b", vec!["a", "$HOME", "|", "b"]),
        ] {
            assert_eq!(split(command).expect(command), words);
        }
    }

    #[test]
    fn command_that_no_shell_would_run_is_refused() {
        for command in ["", "   ", "'a", "a \"b", "a\\"] {
            assert!(split(command).is_err(), "{command}");
        }
    }

    #[test]
    fn pattern_fits_only_what_it_says() {
        for (pattern, name) in [
            ("*", ""),
            ("a*c", "abbc"),
            ("a?c", "abc"),
            ("*-x-*", "1-x-2"),
            ("**a", "ba"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("a", "ab"),
            ("a*c", "abd"),
            ("a?c", "ac"),
            ("", "a"),
            ("*x", "xy"),
            ("?", ""),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
