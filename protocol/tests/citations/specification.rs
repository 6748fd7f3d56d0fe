//! Reads the rules of the specification: lines of a list that hold a key word in capitals.
//!
//! The section that explains the key words has none. Refuses a rule with two key words, a key word
//! outside of a rule, and a sentence that stands twice under one heading.

/// The section that explains the key words instead of using them.
const EXPLAINS: &str = "conventions";

/// How strongly a rule binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Force {
    /// MUST or MUST NOT.
    Must,
    /// SHOULD or SHOULD NOT.
    Should,
    /// MAY: nobody has to do it, so nobody has to cite it.
    May,
}

impl Force {
    /// Tells the key word of a line; `Err` holds their number when there is more than one.
    fn of(line: &str) -> Result<Option<Self>, usize> {
        let words = line.split(|c: char| !c.is_ascii_alphabetic());
        let forces = words.filter_map(|word| match word {
            "MUST" => Some(Self::Must),
            "SHOULD" => Some(Self::Should),
            "MAY" => Some(Self::May),
            _ => None,
        });
        let found: Vec<Self> = forces.collect();
        match found[..] {
            [] => Ok(None),
            [force] => Ok(Some(force)),
            _ => Err(found.len()),
        }
    }
}

/// One rule of the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The page that it stands on.
    pub(crate) page: String,
    /// Number of its line, from 1.
    pub(crate) line: usize,
    /// Anchor of the heading that it stands under.
    pub(crate) anchor: String,
    /// The whole line without the mark of the list.
    pub(crate) sentence: String,
    /// How strongly it binds.
    pub(crate) force: Force,
}

/// The rules of all pages, and what is wrong with how they are written.
#[derive(Debug, Default)]
pub(crate) struct Specification {
    pub(crate) rules: Vec<Rule>,
    pub(crate) faults: Vec<String>,
}

impl Specification {
    /// Reads one more page in Markdown.
    pub(crate) fn read(&mut self, page: &str, content: &str) {
        let mut anchor = String::new();
        for (at, line) in content.lines().enumerate() {
            if let Some(title) = title_of(line) {
                anchor = anchor_of(title);
            } else if anchor != EXPLAINS {
                self.take((page, at + 1), &anchor, line);
            }
        }
    }

    fn take(&mut self, (page, line): (&str, usize), anchor: &str, text: &str) {
        let place = (page, line);
        let force = match Force::of(text) {
            Ok(None) => return,
            Ok(Some(force)) => force,
            Err(count) => return self.refuse(place, &format!("{count} key words in one rule")),
        };
        let Some(sentence) = text.strip_prefix("- ") else {
            return self.refuse(place, "a key word outside of a rule");
        };
        let is_twin =
            |rule: &Rule| rule.page == page && rule.anchor == anchor && rule.sentence == sentence;
        if self.rules.iter().any(is_twin) {
            return self.refuse(place, "the sentence stands twice under this heading");
        }
        self.rules.push(Rule {
            page: page.to_owned(),
            line,
            anchor: anchor.to_owned(),
            sentence: sentence.to_owned(),
            force,
        });
    }

    fn refuse(&mut self, (page, line): (&str, usize), fault: &str) {
        self.faults.push(format!("{page}:{line}: {fault}"));
    }
}

fn title_of(line: &str) -> Option<&str> {
    let title = line.trim_start_matches('#');
    (title.len() < line.len()).then(|| title.strip_prefix(' '))?
}

/// Makes the anchor of a heading as hosts of Git do: lower case, with hyphens for spaces.
fn anchor_of(title: &str) -> String {
    let kept = title.trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        _ => c.is_alphanumeric().then(|| c.to_ascii_lowercase()),
    });
    kept.collect()
}
