//! Input that means no good.

use super::*;

#[test]
fn limits_hold() {
    let limited = |text: &str| build(text).is_err_and(|error| error.limit);
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..9 {
        let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
        laughs.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
    }
    assert!(limited(&laughs));
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
        let deep = |n: usize| format!("{}1{}\n", open.repeat(n), close.repeat(n));
        assert!(build(&deep(50_000)).is_err(), "{open}");
        if !close.is_empty() {
            assert!(limited(&deep(300)), "{open}");
            assert!(read(&deep(150)).is_ok(), "{open}");
        }
    }
    let long = format!(
        "b: &b {}\nc: [{}]\n",
        "x".repeat(1 << 20),
        "*b, ".repeat(20)
    );
    assert!(limited(&long));
    let mut chain = String::from("a0: &a0 [x]\n");
    for i in 1..500 {
        chain.push_str(&format!("a{i}: &a{i} [*a{}]\n", i - 1));
    }
    assert!(limited(&chain));
    assert!(limited(&"a: 1\n---\n".repeat(limits::DOCUMENTS + 2)));
    assert!(read_documents(&vec![b'#'; limits::FILE_BYTES + 1]).is_err_and(|e| e.limit));
}

#[test]
fn any_bytes_are_an_error_or_a_tree() {
    let parts = [
        "a", ": ", "- ", "\n", "  ", "[", "]", "{", "}", "|", ">", "'", "\"", "\\", "&a ", "*a",
        "!", "!!int ", "%", "@", "#", "---", "...", "?", "\t", "\r", "\u{85}", "\u{2028}", "~",
        "<<: ", "|2-", "\u{feff}", "é", "\0", "1",
    ];
    let mut state = 7_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let index = usize::try_from(state >> 33).expect("31 bits");
            text.push_str(parts[index % parts.len()]);
        }
        // What is accepted prints as something that means the same.
        let Ok(printed) = build(&text) else { continue };
        if !text.contains(['\u{85}', '\u{2028}']) && !text.contains("<<") {
            assert_eq!(build(&printed).as_ref(), Ok(&printed), "{text:?}");
        }
    }
}
