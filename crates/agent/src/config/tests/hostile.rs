//! What nobody writes in good faith, and what an editor does by accident.

use base::Rng;

use super::*;

#[test]
fn deep_nesting_is_refused_at_the_level_too_deep() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        for depth in [40, 200, 1_000, 100_000] {
            let text = format!("node: {}{}", open.repeat(depth), close.repeat(depth));
            let faults = faults(&text);
            assert!(faults[0].contains("nested deeper than 32"), "{faults:?}");
        }
    }
    let block: String = (0..1_000)
        .map(|n| format!("{}a:\n", " ".repeat(n)))
        .collect();
    assert!(faults(&block)[0].contains("unknown key"), "{block}");
}

#[test]
fn an_alias_bomb_is_refused_without_unfolding() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for n in 1..30 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(",");
        text.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    let faults = faults(&text);
    assert!(
        faults
            .iter()
            .any(|f| f.contains("anchors and aliases are not supported"))
    );
}

#[test]
fn a_part_of_too_many_values_is_refused() {
    let text = format!("node: [{}]", "x,".repeat(200_000));
    let faults = faults(&text);
    assert!(faults[0].contains("more than 100000 values"), "{faults:?}");
}

#[test]
fn a_huge_scalar_is_one_short_message() {
    let huge = "x".repeat(1 << 20);
    for text in [
        format!("{huge}: 1"),
        format!("node: {{ name: {huge} }}"),
        format!("node: {{ weight: {huge} }}"),
        format!("node: {{ weight: {} }}", "9".repeat(1 << 20)),
        format!(
            "targets: [ {{ name: a, tcp: 'a:1', interval: {} }} ]",
            "9".repeat(1 << 20)
        ),
        format!("targets: [ {{ name: a, http: 'http://{huge}/' }} ]"),
        format!("targets: [ {{ name: a, tcp: '{huge}:1' }} ]"),
    ] {
        let Err(faults) = read(&text) else {
            assert!(text.contains("http://"), "{}", &text[..40]);
            continue;
        };
        assert!(
            faults.iter().all(|f| f.message.len() < 400),
            "{}",
            &text[..40]
        );
    }
}

#[test]
fn many_equal_keys_cost_no_square_of_time() {
    let text = format!("node: {{{}}}", "a: 1,".repeat(40_000));
    assert_eq!(faults(&text).len(), FAULTS_MAX + 1);
    let many: String = (0..40_000).map(|n| format!("k{n}: v,")).collect();
    let text =
        format!("targets: [{{ name: a, http: {{ url: 'http://a', headers: {{{many}}} }} }}]");
    assert!(faults(&text)[0].contains("40000 headers, at most 100"));
    let text: String = (0..100_000).map(|n| format!("k{n}: 1\n")).collect();
    let faults = faults(&text);
    assert_eq!(faults.last().unwrap(), "100:1: … and 99900 more");
}

#[test]
fn tabs_and_broken_yaml_are_one_fault_at_their_place() {
    for (text, place) in [
        ("node:\n\tname: a\n", "2:"),
        ("node: { name: a\napi: {}\n", "2:"),
        ("node: \"a\n", "1:"),
        ("a: b: c\n", "1:"),
        ("node: @x\n", "1:7:"),
        ("targets:\n- name: a\n tcp: a:1\n", "3:"),
        ("node: {}\n%", "2:"),
        ("node: *nobody\n", "1:7:"),
    ] {
        let faults = faults(text);
        let broken: Vec<&String> = faults.iter().filter(|f| f.contains("not YAML")).collect();
        assert_eq!(broken.len(), 1, "{text:?}: {faults:?}");
        assert!(broken[0].starts_with(place), "{text:?}: {faults:?}");
    }
}

#[test]
fn faults_before_broken_yaml_are_named_too() {
    let faults = faults("nod: {}\ntargets:\n- { name: a, tpc: a:1 }\n- {\n");
    assert_eq!(faults[0], "1:1: unknown key 'nod'; did you mean 'node'?");
    assert!(faults[1].starts_with("3:3: a target needs"), "{faults:?}");
    assert!(
        faults[2].starts_with("3:14: unknown key 'tpc'"),
        "{faults:?}"
    );
    assert!(faults[3].contains("not YAML"), "{faults:?}");
}

#[test]
fn a_file_that_is_not_utf_8_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.yaml");
    std::fs::write(&path, b"node:\n  n\xc3\xa4me: \xff\n").unwrap();
    let faults = load(&path).unwrap_err();
    assert_eq!((faults[0].line, faults[0].column), (2, 9));
    assert!(faults[0].message.contains("not UTF-8"));
}

#[test]
fn a_file_that_can_not_be_read_is_one_fault_at_its_start() {
    for path in ["/no/such/file.yaml", "/"] {
        let faults = load(Path::new(path)).unwrap_err();
        assert_eq!(faults.len(), 1);
        let text = faults[0].to_string();
        assert!(
            text.starts_with(&format!("{path}:1:1: the file can't be read")),
            "{text}"
        );
    }
}

#[test]
fn no_damage_to_a_valid_file_makes_it_panic() {
    let text = include_str!("whole.yaml");
    good(text);
    for seed in 0..3_000 {
        let damaged = damage(text, &mut Rng::new(seed));
        if let Err(faults) = read(&damaged) {
            let lines = u32::try_from(damaged.lines().count()).unwrap();
            for fault in faults {
                let inside = (1..=lines + 1).contains(&fault.line) && fault.column > 0;
                assert!(inside, "seed {seed}: {fault}\n{damaged}");
            }
        }
        let _ = parse_target("x", &damaged, &env);
        let _ = expand(&damaged, &env);
    }
}

/// `text` after a few random edits.
fn damage(text: &str, rng: &mut Rng) -> String {
    const PIECES: [&str; 24] = [
        "\t", "\n", " ", ":", ": ", "- ", "[", "]", "{", "}", "\"", "'", "#", "&a ", "*a",
        "!!str ", "| ", "$", "${", "}", "\u{0}", "ä", "---\n", "0",
    ];
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=rng.below(4) {
        let length = chars.len() as u64;
        let at = usize::try_from(rng.below(length)).unwrap();
        let end = (at + usize::try_from(rng.below(12)).unwrap()).min(chars.len());
        match rng.below(4) {
            0 => drop(chars.drain(at..end)),
            1 => {
                let copy: Vec<char> = chars[at..end].to_vec();
                let to = usize::try_from(rng.below(length.saturating_sub(12))).unwrap();
                chars.splice(to..to, copy);
            }
            2 => chars.truncate(at.max(20)),
            _ => {
                let piece = PIECES[usize::try_from(rng.below(24)).unwrap()];
                chars.splice(at..at, piece.chars());
            }
        }
    }
    chars.into_iter().collect()
}
