//! What a doctor prints, without what differs from run to run: times, ports, folders, mailboxes.
//!
//! It refuses to settle a code or a word of advice: those are what transcripts are for.

use postern_lab::netns::DEVICE;

/// Returns what was printed without what differs from run to run: times, ports, folders, mailboxes.
pub(crate) fn settled(text: &str, replaced: &[(String, &str)]) -> String {
    let mut text = text.to_owned();
    for (found, name) in replaced {
        text = text.replace(found, name);
    }
    let lines = text.lines().map(settle_line);
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// Settles one line: a number before a unit is TIME, the word after `mailbox` a MAILBOX; columns are two spaces apart.
fn settle_line(line: &str) -> String {
    // What the machine that runs this test is like is no part of a transcript.
    if let Some((signs, _id)) = line
        .split_once(", id ")
        .filter(|_| line.starts_with("network "))
    {
        let is_of_the_lab = signs.contains(&DEVICE.to_string());
        let unknown = "network INTERFACE (KIND), address ADDRESS, gateway GATEWAY";
        return format!("{}, id ID", if is_of_the_lab { signs } else { unknown });
    }
    // The two clocks of one machine may be a second apart, for they are read one after the other.
    let line = match line.split_once("; this machine's is 1 s ") {
        Some((line, _side)) if line.starts_with("clock ") => line,
        Some(_) | None => line,
    };
    let indent: String = line.chars().take_while(|c| " │├└─".contains(*c)).collect();
    let words: Vec<_> = line
        .trim_start_matches([' ', '│', '├', '└', '─'])
        .split(' ')
        .collect();
    let mut settled: Vec<String> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| words.get(before));
        let unit = words.get(at + 1).map(|next| next.trim_end_matches(','));
        let is_time = matches!(unit, Some("us" | "ms" | "s"))
            && !word.is_empty()
            && word.chars().all(|c| c.is_ascii_digit() || c == '.');
        let is_unit = matches!(*word, "us" | "ms") || *word == "s" || *word == "s:";
        match *word {
            _ if is_time => settled.push("TIME".into()),
            _ if is_unit && settled.last().is_some_and(|last| last == "TIME") => {}
            word if before == Some(&"mailbox") && is_hex(word) => settled.push("MAILBOX".into()),
            word if is_date(word) => settled.push(word.replace(&word[..DATE_CHARS], "DATE")),
            word if is_fingerprint(word) => settled.push("FINGERPRINT".into()),
            _ if before == Some(&"of")
                && words.get(at + 1) == Some(&"bytes")
                && is_packet(&words) =>
            {
                settled.push("PACKET".into());
            }
            word if before == Some(&"sha256") => settled.push(word.replace(digits(word), "DIGEST")),
            "" => {}
            word => settled.push(word.to_owned()),
        }
    }
    format!("{indent}{}", settled.join(" "))
}

/// Characters of a date, such as `2026-11-28T13:00:00Z`.
const DATE_CHARS: usize = 20;

fn is_fingerprint(word: &str) -> bool {
    word.len() == 95
        && word
            .split(':')
            .all(|pair| pair.len() == 2 && digits(pair) == pair)
}

fn is_date(word: &str) -> bool {
    let shape = word.get(..DATE_CHARS).unwrap_or_default();
    shape.ends_with('Z') && shape.get(10..11) == Some("T")
}

/// The loopback's packets are larger than any network's, and QUIC may not have tried yet.
fn is_packet(words: &[&str]) -> bool {
    words.contains(&"mtu") && !words.contains(&"FAIL")
}

/// The hexadecimal digits with which a word begins.
fn digits(word: &str) -> &str {
    let end = word.find(|c: char| !c.is_ascii_hexdigit());
    word.get(..end.unwrap_or(word.len())).unwrap_or_default()
}

fn is_hex(word: &str) -> bool {
    let digits = digits(word);
    digits.len() == 16 && word.trim_end_matches(',') == digits
}
