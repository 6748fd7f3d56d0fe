//! Asks a function for every combination of what it looks at, and draws what it answers as a tree.
//!
//! A question whose answer changes nothing is left out. Refuses to know what the answers mean.

/// One thing that a function looks at: its name, and what may be the case.
pub(crate) type Question = (&'static str, &'static [&'static str]);

/// What is the case, by the place of each question.
pub(crate) type Case<'a> = &'a [usize];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tree {
    Answer(String),
    Ask(usize, Vec<Tree>),
}

fn grow(questions: &[Question], case: &mut Vec<usize>, ask: &dyn Fn(Case<'_>) -> String) -> Tree {
    let at = case.len();
    let Some((_, choices)) = questions.get(at) else {
        return Tree::Answer(ask(case));
    };
    let mut below = Vec::new();
    for choice in 0..choices.len() {
        case.push(choice);
        below.push(grow(questions, case, ask));
        case.pop();
    }
    match below.first() {
        Some(first) if below.iter().all(|tree| tree == first) => first.clone(),
        Some(_) | None => Tree::Ask(at, below),
    }
}

/// Draws a function as a flowchart in mermaid.
pub(crate) fn draw(questions: &[Question], ask: &dyn Fn(Case<'_>) -> String) -> String {
    let tree = grow(questions, &mut Vec::new(), ask);
    let mut lines = vec!["flowchart LR".to_owned()];
    let mut next = 0;
    write(&tree, questions, &mut next, &mut lines);
    lines.join("\n")
}

/// Writes a tree; returns the name of its root.
fn write(tree: &Tree, questions: &[Question], next: &mut usize, lines: &mut Vec<String>) -> String {
    let name = format!("n{next}");
    *next += 1;
    match tree {
        Tree::Answer(answer) => lines.push(format!("  {name}[\"{answer}\"]")),
        Tree::Ask(at, below) => {
            let (question, choices) = questions[*at];
            lines.push(format!("  {name}{{\"{question}\"}}"));
            // Choices with one and the same tree behind them share an arrow.
            let mut drawn: Vec<(&Tree, Vec<&str>)> = Vec::new();
            for (tree, choice) in below.iter().zip(choices) {
                match drawn.iter_mut().find(|(other, _)| *other == tree) {
                    Some((_, shared)) => shared.push(choice),
                    None => drawn.push((tree, vec![choice])),
                }
            }
            for (tree, choices) in drawn {
                let child = write(tree, questions, next, lines);
                lines.push(format!("  {name} -->|{}| {child}", choices.join(", ")));
            }
        }
    }
    name
}
