//! The path templates of `google.api.http`, read into segments and variables:
//!
//! ```text
//! Template  = "/" Segments [ Verb ] ;
//! Segments  = Segment { "/" Segment } ;
//! Segment   = "*" | "**" | LITERAL | Variable ;
//! Variable  = "{" FieldPath [ "=" Segments ] "}" ;
//! FieldPath = IDENT { "." IDENT } ;
//! Verb      = ":" LITERAL ;
//! ```

/// What one segment of a path must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Exactly this.
    Literal(String),
    /// Any one segment: `*`.
    One,
    /// Any number of segments, last in its template: `**`.
    Rest,
}

/// A field that takes a stretch of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    /// The names of the fields that lead to it.
    pub field_path: Vec<String>,
    /// The first segment that belongs to it.
    pub start: usize,
    /// One past the last; when that one is [`Segment::Rest`], all that remains.
    pub end: usize,
}

/// A parsed template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Template {
    pub segments: Vec<Segment>,
    pub variables: Vec<Variable>,
    /// What stands after the last colon, or nothing.
    pub verb: String,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut parser = Parser {
            text,
            position: 0,
            template: Template::default(),
        };
        parser.template(text).map_err(|problem| {
            format!(
                "path template {text:?}: {problem} at position {}",
                parser.position
            )
        })?;
        Ok(parser.template)
    }
}

struct Parser<'t> {
    text: &'t str,
    position: usize,
    template: Template,
}

impl Parser<'_> {
    fn template(&mut self, text: &str) -> Result<(), String> {
        self.expect('/')?;
        self.segments(false)?;
        if self.take(':') {
            self.template.verb = self.literal()?;
        }
        if self.position < text.len() {
            return Err("unexpected character".to_owned());
        }
        let rest = self
            .template
            .segments
            .iter()
            .position(|segment| *segment == Segment::Rest);
        if rest.is_some_and(|index| index + 1 < self.template.segments.len()) {
            return Err("** must be the last segment, found more".to_owned());
        }
        Ok(())
    }

    fn segments(&mut self, in_variable: bool) -> Result<(), String> {
        loop {
            self.segment(in_variable)?;
            if !self.take('/') {
                return Ok(());
            }
        }
    }

    fn segment(&mut self, in_variable: bool) -> Result<(), String> {
        let segment = if self.take('*') {
            if self.take('*') {
                Segment::Rest
            } else {
                Segment::One
            }
        } else if self.take('{') {
            if in_variable {
                return Err("a variable inside a variable".to_owned());
            }
            return self.variable();
        } else {
            Segment::Literal(self.literal()?)
        };
        self.template.segments.push(segment);
        Ok(())
    }

    fn variable(&mut self) -> Result<(), String> {
        let mut field_path = vec![self.identifier()?];
        while self.take('.') {
            field_path.push(self.identifier()?);
        }
        if self
            .template
            .variables
            .iter()
            .any(|other| other.field_path == field_path)
        {
            return Err(format!("variable {} occurs twice", field_path.join(".")));
        }
        let start = self.template.segments.len();
        if self.take('=') {
            self.segments(true)?;
        } else {
            self.template.segments.push(Segment::One);
        }
        let end = self.template.segments.len();
        self.template.variables.push(Variable {
            field_path,
            start,
            end,
        });
        self.expect('}')
    }

    fn identifier(&mut self) -> Result<String, String> {
        let name = self.run(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
            return Err("expected a field name".to_owned());
        }
        Ok(name.to_owned())
    }

    fn literal(&mut self) -> Result<String, String> {
        let reserved = |byte| matches!(byte, b'/' | b':' | b'{' | b'}' | b'*' | b'=' | b'?' | b'#');
        let literal = self.run(|byte| byte.is_ascii_graphic() && !reserved(byte));
        if literal.is_empty() {
            return Err("expected a literal, *, ** or {variable}".to_owned());
        }
        Ok(literal.to_owned())
    }

    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> &str {
        let rest = &self.text[self.position..];
        let length = rest
            .bytes()
            .position(|byte| !belongs(byte))
            .unwrap_or(rest.len());
        self.position += length;
        &rest[..length]
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.text[self.position..].starts_with(wanted);
        if found {
            self.position += wanted.len_utf8();
        }
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(format!("expected {wanted:?}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(template: &str, expected: Expect) {
        let text = match Template::parse(template) {
            Ok(parsed) => {
                let variables: Vec<String> = parsed
                    .variables
                    .iter()
                    .map(|v| format!("{}={}..{}", v.field_path.join("."), v.start, v.end))
                    .collect();
                format!("{:?} {variables:?} {:?}", parsed.segments, parsed.verb)
            }
            Err(problem) => problem,
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn reads_every_form_of_the_grammar() {
        check(
            "/v1/{name=messages/*}",
            expect![[r#"[Literal("v1"), Literal("messages"), One] ["name=1..3"] """#]],
        );
        check(
            "/v2/orders:by_client_order_id",
            expect![[r#"[Literal("v2"), Literal("orders")] [] "by_client_order_id""#]],
        );
        check(
            "/v2/assets/{symbol=**}",
            expect![[r#"[Literal("v2"), Literal("assets"), Rest] ["symbol=2..3"] """#]],
        );
        check(
            "/*/x-1.2_~/{a.b_c}:v",
            expect![[r#"[One, Literal("x-1.2_~"), One] ["a.b_c=2..3"] "v""#]],
        );
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        check(
            "",
            expect![[r#"path template "": expected '/' at position 0"#]],
        );
        check(
            "/",
            expect![[
                r#"path template "/": expected a literal, *, ** or {variable} at position 1"#
            ]],
        );
        check(
            "/a//b",
            expect![[
                r#"path template "/a//b": expected a literal, *, ** or {variable} at position 3"#
            ]],
        );
        check(
            "/a/**/b",
            expect![[
                r#"path template "/a/**/b": ** must be the last segment, found more at position 7"#
            ]],
        );
        check(
            "/{a={b}}",
            expect![[r#"path template "/{a={b}}": a variable inside a variable at position 5"#]],
        );
        check(
            "/{a}/{a}",
            expect![[r#"path template "/{a}/{a}": variable a occurs twice at position 7"#]],
        );
        check(
            "/{1}",
            expect![[r#"path template "/{1}": expected a field name at position 3"#]],
        );
        check(
            "/{a",
            expect![[r#"path template "/{a": expected '}' at position 3"#]],
        );
        check(
            "/a b",
            expect![[r#"path template "/a b": unexpected character at position 2"#]],
        );
        check(
            "/é",
            expect![[
                r#"path template "/é": expected a literal, *, ** or {variable} at position 1"#
            ]],
        );
    }
}
