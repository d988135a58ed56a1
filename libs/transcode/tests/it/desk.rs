//! The descriptors of `tests/proto/desk.proto` and what the tests ask of them.

use std::sync::LazyLock;

use expect_test::Expect;
use http::Method;
use prepx_transcode::{BuildError, Error, Router};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use protox::Compiler;
use protox::file::{
    ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver,
};

/// One file that exists only in a test.
struct Inline(String);

impl FileResolver for Inline {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name {
            "inline.proto" => File::from_source(name, &self.0),
            _ => Err(protox::Error::file_not_found(name)),
        }
    }
}

fn compile(inline: String, file: &str) -> DescriptorPool {
    let folder = env!("CARGO_MANIFEST_DIR");
    let mut files = ChainFileResolver::new();
    files.add(Inline(inline));
    files.add(IncludeFileResolver::new(
        format!("{folder}/tests/proto").into(),
    ));
    files.add(IncludeFileResolver::new(
        format!("{folder}/../../proto").into(),
    ));
    files.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(files);
    compiler.include_imports(true).include_source_info(true);
    compiler.open_file(file).unwrap();
    // Through bytes, as the real descriptors come: options must survive it.
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

/// A router over a service `S` with these methods and messages.
pub fn inline(content: &str) -> Result<Router, BuildError> {
    let header = "syntax = \"proto3\"; package t; import \"google/api/annotations.proto\"; \
        import \"google/protobuf/any.proto\"; import \"prepx/options/v1/options.proto\";\n";
    Router::build(&compile(format!("{header}{content}"), "inline.proto"))
}

pub static DESK: LazyLock<Router> =
    LazyLock::new(|| Router::build(&compile(String::new(), "desk.proto")).unwrap());

/// The pool, for messages by name.
pub fn message(name: &str) -> MessageDescriptor {
    let pool = DESK.routes().next().unwrap().method().parent_pool().clone();
    pool.get_message_by_name(&format!("desk.v1.{name}"))
        .unwrap()
}

/// Finds the route and decodes; the text format of the request message.
pub fn request(method: &str, url: &str, body: &str) -> Result<String, Error> {
    let router = &*DESK;
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let (path, query) = match url.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (url, None),
    };
    let call = router.find(&method, path)?;
    let bytes = call.decode(query, Some("application/json"), body.as_bytes())?;
    let input = call.route().method().input();
    let message = DynamicMessage::decode(input, bytes.as_slice()).expect("valid protobuf");
    Ok(format!(
        "{} {}",
        call.route().method().name(),
        message.to_text_format()
    ))
}

/// The request, or the whole error body.
pub fn check(method: &str, url: &str, body: &str, expected: Expect) {
    let text = match request(method, url, body) {
        Ok(text) => text,
        Err(error) => shown(&error),
    };
    expected.assert_eq(&text);
}

/// The body of an error answer.
pub fn shown(error: &Error) -> String {
    String::from_utf8(error.to_json("r-1")).unwrap()
}

/// The JSON of a reply given in the text format.
pub fn reply(method: &str, path: &str, text: &str) -> String {
    let router = &*DESK;
    let call = router
        .find(&Method::from_bytes(method.as_bytes()).unwrap(), path)
        .unwrap();
    let output = call.route().method().output();
    let message = DynamicMessage::parse_text_format(output, text).unwrap();
    String::from_utf8(call.route().encode(&message.encode_to_vec()).unwrap()).unwrap()
}
