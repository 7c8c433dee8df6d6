//! Lines as they are told: one for each thing that happened, repeats folded; and the first wrong one.

use std::time::{Duration, UNIX_EPOCH};

use super::line::Line;

/// The longest line.
const COLUMNS: usize = 100;

/// Neighbours that say the same, of one node or of several.
struct Fold<'a> {
    first: &'a Line,
    last: &'a Line,
    words: String,
    nodes: Vec<&'a str>,
    count: usize,
}

/// One text a line, at most [`COLUMNS`] characters each.
pub(super) fn told(lines: &[&Line]) -> Vec<String> {
    let mut folds: Vec<Fold<'_>> = Vec::new();
    for &line in lines {
        let words = line.words();
        match folds.last_mut().filter(|fold| fold.words == words) {
            Some(fold) => {
                fold.count += 1;
                fold.last = line;
                if !fold.nodes.contains(&&*line.node) {
                    fold.nodes.push(&line.node);
                }
            }
            None => folds.push(Fold {
                first: line,
                last: line,
                words,
                nodes: vec![&line.node],
                count: 1,
            }),
        }
    }
    folds.iter().map(Fold::told).collect()
}

impl Fold<'_> {
    fn told(&self) -> String {
        let times = match (self.count, self.nodes.len()) {
            (1, _) => String::new(),
            (count, nodes) if count == nodes => String::new(),
            (count, _) => format!(" ({count} times until {})", clock(self.last.at)),
        };
        let whole = format!(
            "{} {} {}",
            clock(self.first.at),
            self.nodes.join(" "),
            self.words
        );
        format!("{}{times}", cut(&whole, COLUMNS - times.chars().count()))
    }
}

/// At most so many characters; what is left out is marked.
fn cut(text: &str, most: usize) -> String {
    let one_line = text.replace(['\n', '\r', '\t'], " ");
    if one_line.chars().count() <= most {
        return one_line;
    }
    let kept: String = one_line.chars().take(most - 1).collect();
    format!("{kept}…")
}

fn clock(at: u64) -> String {
    let text = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_micros(at)).to_string();
    // Without the date, and without the Z.
    text[11..23].to_owned()
}

/// The first line of the run of a mutant that the same run without the mutation does not have, or
/// the first that it lacks.
pub(super) fn first_wrong(broken: &[Line], sound: &[Line]) -> String {
    let (broken, sound) = (in_order(broken), in_order(sound));
    let most = broken.len().max(sound.len());
    let Some(at) = (0..most).find(|&at| broken.get(at) != sound.get(at)) else {
        return "first wrong step: none; both runs are the same".to_owned();
    };
    let was_due = |line: &Line| sound[at.min(sound.len())..].contains(&line);
    let (what, line) = match (broken.get(at), sound.get(at)) {
        (Some(line), _) if !was_due(line) => ("", line),
        (_, Some(line)) => ("does not come: ", line),
        (Some(line), None) => ("", line),
        (None, None) => unreachable!("one of them is longer"),
    };
    let told = format!("{} {} {what}{}", clock(line.at), line.node, line.words());
    format!("first wrong step: {}", cut(&told, COLUMNS - 18))
}

fn in_order(lines: &[Line]) -> Vec<&Line> {
    let mut sorted: Vec<&Line> = lines.iter().collect();
    sorted.sort_by_key(|line| (line.world_us.unwrap_or(line.at), line.node.clone()));
    sorted
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::line;
    use super::*;

    #[test]
    fn repeats_are_folded_over_nodes_and_time_and_nothing_is_too_long() {
        let gone = ",\"member\":\"n9\",\"state\":\"dead\",\"incarnation\":3";
        let long = format!(",\"x\":\"{}\"", "é".repeat(300));
        let lines = [
            line("n1", 1_000, "member", gone),
            line("n2", 1_010, "member", gone),
            line("n1", 2_000, "again", ""),
            line("n1", 3_000, "again", ""),
            line("n2", 4_000, "other", &long),
        ];
        let told = told(&lines.iter().collect::<Vec<_>>());
        assert_eq!(told[0], "00:00:01.000 n1 n2 n9 is dead (life 3)");
        assert_eq!(
            told[1],
            "00:00:02.000 n1 again (2 times until 00:00:03.000)"
        );
        assert_eq!(told[2].chars().count(), COLUMNS);
        assert_eq!(told.len(), 3);
    }

    #[test]
    fn the_first_wrong_step_is_what_was_done_or_what_was_not() {
        let sound = [
            line("n1", 1, "a", ""),
            line("n1", 2, "asks", ""),
            line("n2", 3, "b", ""),
        ];
        let hasty = [
            line("n1", 1, "a", ""),
            line("n1", 2, "writes", ""),
            line("n2", 3, "b", ""),
        ];
        let lazy = [line("n1", 1, "a", ""), line("n2", 3, "b", "")];
        assert_eq!(
            first_wrong(&hasty, &sound),
            "first wrong step: 00:00:00.002 n1 writes"
        );
        assert_eq!(
            first_wrong(&lazy, &sound),
            "first wrong step: 00:00:00.002 n1 does not come: asks"
        );
        assert_eq!(
            first_wrong(&sound, &sound),
            "first wrong step: none; both runs are the same"
        );
    }
}
