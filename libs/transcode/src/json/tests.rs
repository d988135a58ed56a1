use proptest::prelude::*;

use super::*;

fn whole(text: &[u8]) -> Result<(), SyntaxError> {
    let mut parser = Parser::new(text)?;
    parser.skip()?;
    parser.end()
}

/// JSON and things close to it.
fn nearly_json() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"a\"",
        "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\x\"",
        "\"",
        "0",
        "-0",
        "01",
        "1.",
        "1.5e-3",
        "-",
        "1e",
        "true",
        "false",
        "null",
        "nul",
        "truex",
        " ",
        "\n",
        "\t",
        "\u{b}",
        "é",
    ]);
    prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn accepts_exactly_what_serde_json_accepts(text in nearly_json()) {
        let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        prop_assert_eq!(whole(text.as_bytes()).is_ok(), theirs, "{}", text);
    }

    #[test]
    fn strings_survive_writing_and_reading(text in any::<String>()) {
        let mut out = Vec::new();
        write_string(&mut out, &text);
        prop_assert_eq!(&serde_json::from_slice::<String>(&out).unwrap(), &text);
        prop_assert_eq!(Parser::new(&out).unwrap().string().unwrap(), text.as_str());
    }

    #[test]
    fn strings_of_others_are_read_the_same(text in any::<String>()) {
        let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let quoted = format!("\"{escaped}\"");
        prop_assert_eq!(Parser::new(quoted.as_bytes()).unwrap().string().unwrap(), text);
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = whole(&bytes);
    }
}

#[test]
fn errors_name_line_and_column() {
    let error = whole("{\"a\": 1,\n \"é\" 2}".as_bytes()).unwrap_err();
    assert_eq!(
        (error.problem, error.line, error.column),
        ("expected ':'", 2, 6)
    );
    let error = whole(b"[\"ab\xff\"]").unwrap_err();
    assert_eq!(
        (error.problem, error.line, error.column),
        ("a byte that is not UTF-8", 1, 5)
    );
}

#[test]
fn nesting_is_bounded() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(whole(deep(32).as_bytes()).is_ok());
    assert_eq!(
        whole(deep(33).as_bytes()).unwrap_err().problem,
        "more than 32 levels of nesting"
    );
    assert!(whole("[".repeat(1_000_000).as_bytes()).is_err());
}
