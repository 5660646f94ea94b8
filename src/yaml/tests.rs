use serde_json::{Value, json};

use super::*;

mod hostile;

fn read(text: &str) -> Result<Vec<Node>, Error> {
    read_documents(text.as_bytes())
}

fn node(text: &str) -> Node {
    read(text).expect("valid").pop().expect("a document")
}

/// What `kustomize build` makes of an object.
fn build(text: &str) -> Result<String, Error> {
    let mut values = Vec::new();
    for node in read(text)? {
        values.push(resolve(&node, Resolver::Kustomize, Duplicates::Error)?);
    }
    let mut out = String::new();
    emit_documents(&values, &mut out);
    Ok(out)
}

fn failure(text: &str) -> String {
    build(text).expect_err(text).to_string()
}

fn kubectl(text: &str) -> Result<Value, Error> {
    resolve(&node(text), Resolver::Kubectl, Duplicates::LastWins)
}

/// `a: INPUT` and the same after `kustomize build`.
fn check(table: &[(&str, &str)]) {
    for (input, output) in table {
        assert_eq!(
            build(&format!("a: {input}\n")),
            Ok(format!("a: {output}\n")),
            "{input}"
        );
    }
}

#[test]
fn numbers_print_in_decimal_as_go_prints_them() {
    check(&[
        ("0644", "420"),
        ("0o644", "420"),
        ("-0644", "-420"),
        ("08", "8"),
        ("0x1F", "31"),
        ("0b11", "3"),
        ("0b-11", "-3"),
        ("0o-17", "-15"),
        ("1_000", "1000"),
        ("+1", "1"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("9223372036854775808", "9223372036854775808"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "1.8446744073709552e+19"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("1.0", "1"),
        ("1.10", "1.1"),
        ("1e3", "1000"),
        ("1e20", "1e+20"),
        ("1e19", "10000000000000000000"),
        ("0.000001", "1e-06"),
        ("0.0001", "0.0001"),
        ("123456789.123456789", "1.2345678912345679e+08"),
        ("123456.5", "123456.5"),
        (".5", "0.5"),
        (".5_5", "0.55"),
        ("5.", "5"),
        // Too large for a float: text.
        ("1e400", "1e400"),
        (".5_", ".5_"),
        ("1.2.3", "1.2.3"),
    ]);
}

#[test]
fn words_and_dates_follow_the_rules_of_go_yaml_3() {
    check(&[
        ("yes", "\"yes\""),
        ("on", "\"on\""),
        ("n", "\"n\""),
        ("True", "true"),
        ("FALSE", "false"),
        ("~", "null"),
        ("", "null"),
        ("Null", "null"),
        ("2001-01-01", "\"2001-01-01T00:00:00Z\""),
        ("2001-1-1 1:2:3.450", "\"2001-01-01T01:02:03.45Z\""),
        (
            "2001-12-14t21:59:43.10-05:00",
            "\"2001-12-14T21:59:43.1-05:00\"",
        ),
        ("2001-02-29", "2001-02-29"),
        ("2004-02-29", "\"2004-02-29T00:00:00Z\""),
        ("\"2001-01-01\"", "\"2001-01-01\""),
        ("1:20", "\"1:20\""),
        ("1:60", "1:60"),
        ("=", "="),
        ("!!str 123", "\"123\""),
        ("!!float 3", "3"),
        ("!!int \"3\"", "3"),
        ("!!binary aGk=", "hi"),
        ("!custom 5", "\"5\""),
        ("! 5", "5"),
    ]);
}

#[test]
fn kubectl_reads_yaml_1_1() {
    let value = kubectl("a: [yes, off, y, N, 2001-01-01, 010, 1.10, 0o7]\non: 1\n1: x\n1.5: z\n");
    let list = json!([true, false, true, false, "2001-01-01", 8, 1.1, 7]);
    assert_eq!(
        value,
        Ok(json!({"a": list, "true": 1, "1": "x", "1.5": "z"}))
    );
    assert_eq!(kubectl("a: 1\na: 2\n"), Ok(json!({"a": 2})));
    assert!(kubectl("~: 1\n").is_err());
}

#[test]
fn strings_are_quoted_only_where_they_must_be() {
    check(&[
        ("'a: b'", "'a: b'"),
        ("' lead'", "' lead'"),
        ("'*x'", "'*x'"),
        ("'-'", "'-'"),
        ("'---'", "'---'"),
        ("a:b", "a:b"),
        ("'it''s'", "it's"),
        ("\"'x\"", "'''x'"),
        ("'a #b'", "'a #b'"),
        ("a#b", "a#b"),
        ("\"\"", "\"\""),
        ("\"a\\tb\"", "\"a\\tb\""),
        ("\"\\U0001F600\"", "\"\\U0001F600\""),
        ("äöü€", "äöü€"),
        ("\"\\uFEFFb\"", "\"\\uFEFF\\x62\""),
        ("\"a\\Lb\"", "'a\u{2028}  b'"),
        ("\"a \\N b\"", "a b"),
        ("\"a\\u00a0b\"", "a\u{a0}b"),
    ]);
    assert_eq!(
        failure("a: \"\\x7f\"\n"),
        "line 1: a string contains U+007F, which cannot be printed"
    );
}

#[test]
fn text_of_several_lines_becomes_a_literal_block() {
    check(&[
        ("\"x\\ny\"", "|-\n  x\n  y"),
        ("\"x\\n\\n  y\\n\"", "|\n  x\n\n    y"),
        ("\"\\nx\"", "|2-\n\n  x"),
        ("\" x\\n\"", "|2\n   x"),
        ("\"x \\ny\"", "\"x \\ny\""),
        ("\"x\\r\\n\"", "\"x\\r\\n\""),
        ("\"x\\ny \"", "\"x\\ny \""),
    ]);
    assert_eq!(build("a: \"x\\n\\n\"\n"), Ok("a: |+\n  x\n\n".into()));
}

#[test]
fn folded_text_gets_the_line_break_that_kustomize_adds() {
    assert_eq!(
        build("a: >\n  x\n    y\n  z\n"),
        Ok("a: |\n  x\n\n    y\n  z\n".into())
    );
    assert_eq!(build("a: >+\n  x\n\n"), Ok("a: |+\n  x\n\n\n".into()));
    assert_eq!(
        build("a: >-\n  x\n  y\n\n  z\n"),
        Ok("a: |-\n  x y\n  z\n".into())
    );
    assert_eq!(kubectl("a: >\n  x\n    y\n"), Ok(json!({"a": "x\n  y\n"})));
}

#[test]
fn long_lines_are_folded_after_column_80() {
    let words = "word ".repeat(20);
    let words = words.trim_end();
    let printed = build(&format!("a: {words}\n")).expect("valid");
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 2, "{printed}");
    assert_eq!(lines[0].len(), 82);
    assert!(lines[1].starts_with("  word"));
    // Neither keys nor literal blocks nor words are.
    let key = "k ".repeat(60);
    assert_eq!(
        build(&format!("? '{key}k'\n: 1\n")),
        Ok(format!("{key}k: 1\n"))
    );
    let block = format!("a: |\n  {words}\n");
    assert_eq!(build(&block), Ok(block));
}

#[test]
fn long_keys_are_printed_with_a_question_mark() {
    let (short, long) = ("k".repeat(128), "k".repeat(129));
    assert_eq!(build(&format!("{short}: 1\n")), Ok(format!("{short}: 1\n")));
    let nested = build(&format!("? {long}\n: {{a: 1, b: [2]}}\n"));
    assert_eq!(nested, Ok(format!("? {long}\n: a: 1\n  b:\n  - 2\n")));
    assert_eq!(
        build("? \"a\\nb\"\n: [1]\n"),
        Ok("? |-\n  a\n  b\n: - 1\n".into())
    );
}

#[test]
fn collections_are_printed_in_block_style_with_sorted_keys() {
    let text = "b: [[1, [2]], {d: 1, c: []}]\na10: {}\na9: x\nA: 1\nab: 2\n'a.b': 3\na-2: 4\n";
    let expected =
        "A: 1\na-2: 4\na.b: 3\na9: x\na10: {}\nab: 2\nb:\n- - 1\n  - - 2\n- c: []\n  d: 1\n";
    assert_eq!(build(text), Ok(expected.into()));
    assert_eq!(to_string(&json!({})), "{}\n");
    assert_eq!(build("a: !custom {b: 1}\n"), Ok("a:\n  b: 1\n".into()));
}

#[test]
fn keys_that_have_no_order_are_still_printed_once_each() {
    // Every triple of such keys is in some order, but not all of them at once.
    let parts = ["a", "1", "0", "-", "_1", "a1", "10", "B", "é"];
    let mut map = serde_json::Map::new();
    for a in parts {
        for b in parts {
            for c in parts {
                map.insert(format!("{a}{b}{c}"), json!(1));
            }
        }
    }
    let count = map.len();
    assert_eq!(to_string(&Value::Object(map)).lines().count(), count);
}

#[test]
fn documents_are_split_like_kustomize_does() {
    let read = |text| read(text).map(|all| all.iter().map(Node::line).collect::<Vec<_>>());
    assert_eq!(
        read("a: 1\n---\nb: 2\n--- # c\n\nc: 3\n"),
        Ok(vec![1, 3, 6])
    );
    assert_eq!(read("# only\n---\n\n---\n# comments\n---\n"), Ok(vec![]));
    assert_eq!(read("---\na: 1\n---"), Ok(vec![2]));
    assert_eq!(read("\u{feff}a: 1\r\n---\r\nb: 2\r\n"), Ok(vec![1, 3]));
    assert_eq!(read("{\"a\": 1}\n{\"b\": 2}\n"), Ok(vec![1]));
    assert_eq!(read(""), Ok(vec![]));
    assert_eq!(read("null\n"), Ok(vec![]));
    assert_eq!(
        failure("a: 1\n--- {b: 2}\n"),
        "line 2: there is content after `---` on the same line"
    );
    assert!(failure("%YAML 1.2\n---\na: 1\n").starts_with("line "));
    assert_eq!(
        build("a: |\r\n  x\r\n  y\r\n"),
        Ok("a: |\n  x\n  y\n".into())
    );
    // The line feed that is not in the file is not in the text either.
    assert_eq!(build("a: |\n  x\n  y"), Ok("a: |-\n  x\n  y\n".into()));
    assert_eq!(build("a: |\n  x\n  y\n  "), Ok("a: |\n  x\n  y\n".into()));
    assert_eq!(build("a: |+\n  x\n\n  y"), Ok("a: |-\n  x\n\n  y\n".into()));
}

#[test]
fn mistakes_have_the_line_of_the_file_and_no_values() {
    assert_eq!(
        failure("a: 1\n---\nb: 2\nb: s3cret\n"),
        "line 4: the key `b` is already set in line 3"
    );
    assert_eq!(
        failure("x:\n  1: a\n"),
        "line 2: the key `1` is a number: only strings can be keys"
    );
    assert!(failure("a: 1\n---\na: [s3cret\nb: 2\n").starts_with("line 4: "));
    assert!(failure("x: 1\ny: .inf\n").starts_with("line 2: "));
    for text in [
        "a: !!int s3cret\n",
        "a: !!binary s3cret!\n",
        "a: \"s3cret\\x7f\"\n",
    ] {
        assert!(!failure(text).contains("s3cret"), "{text}");
    }
    let debug = format!("{:?}", node("a: s3cret\n"));
    assert!(!debug.contains("s3cret"), "{debug}");
    assert_eq!(
        failure("a: 1\nb: \u{1}\n"),
        "line 2: control characters are not allowed"
    );
    assert!(read_documents(b"a: 1\nb: \xff\n").is_err_and(|e| e.line == Some(2)));
}

#[test]
fn only_the_top_may_have_keys_that_are_no_strings() {
    assert_eq!(
        build("1: a\ntrue: b\n"),
        Ok("\"1\": a\n\"true\": b\n".into())
    );
    assert_eq!(
        build("x: {'1': a, yes: b}\n"),
        Ok("x:\n  \"1\": a\n  \"yes\": b\n".into())
    );
    assert!(build("x: {true: a}\n").is_err());
    assert!(build("x: {2001-01-01: a}\n").is_err());
    assert!(build("~: a\n").is_err());
    assert!(build("? [a]\n: b\n").is_err());
}

#[test]
fn aliases_and_merge_keys_are_expanded() {
    let text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [{x: 9}, *a]}\nd: [&t text, *t]\n";
    let expected =
        "a:\n  x: 1\n  y: 2\nb:\n  x: 1\n  \"y\": 3\nc:\n  x: 9\n  \"y\": 2\nd:\n- text\n- text\n";
    assert_eq!(
        build(text),
        Ok(expected.replace("  y: 2\nb", "  \"y\": 2\nb"))
    );
    assert!(failure("a: *b\n").contains("no anchor `b`"));
    assert!(failure("a: &b 1\n---\na: *b\n").starts_with("line 3: "));
    assert!(failure("a: &b [*b]\n").contains("contains itself"));
    assert!(failure("a: {<<: 1}\n").contains("`<<`"));
    assert!(failure("a: &a {}\nb: {<<: *a, <<: *a}\n").contains("twice"));
}

#[test]
fn nodes_are_read_and_changed_by_path() {
    let mut root = node("metadata:\n  name: x\nspec:\n  list: [{a: 1}, ~]\n");
    assert_eq!(root.text_at(&["metadata", "name"]), Some("x"));
    assert_eq!(root.text_at(&["spec", "list", "0", "a"]), Some("1"));
    assert!(root.at(&["spec", "list", "1"]).is_some_and(Node::is_null));
    assert_eq!(root.at(&["spec"]).map(Node::line), Some(4));
    let metadata = root
        .get_mut("metadata")
        .and_then(Node::as_mapping_mut)
        .expect("is there");
    assert_eq!(
        metadata
            .set("name", Node::string("1"))
            .and_then(|n| n.as_str().map(str::to_owned)),
        Some("x".into())
    );
    metadata.set("on", Node::plain("1"));
    assert!(metadata.remove("absent").is_none());
    let value = resolve(&root, Resolver::Kubectl, Duplicates::Error).expect("valid");
    assert_eq!(value["metadata"], json!({"name": "1", "on": 1}));
    let again = resolve(
        &Node::from_value(&value),
        Resolver::Kubectl,
        Duplicates::Error,
    );
    assert_eq!(again, Ok(value));
}
