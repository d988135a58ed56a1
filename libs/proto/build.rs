//! Compiles every proto under `proto/prepx` without protoc, keeps the descriptors with their comments
//! and options, and generates messages, clients and servers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Packages that only carry options: read from the descriptors, never built as Rust values.
const OPTION_PACKAGES: [&str; 2] = ["google.api", "prepx.options.v1"];
/// Protos between services, which nobody outside is shown.
const INTERNAL: [&str; 2] = ["prepx/owner", "prepx/platform"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = protos(&root.join("prepx"))?;
    files.push(root.join("google/rpc/status.proto"));
    files.push(root.join("google/rpc/error_details.proto"));
    files.sort();

    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let compiler = compile(root, &files)?;
    // The compiler's own bytes, because decoding them as prost types would drop our options.
    fs::write(
        out.join("descriptors.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    let mut set = compiler.file_descriptor_set();
    files.retain(|file| !INTERNAL.iter().any(|of| file.starts_with(root.join(of))));
    let public = compile(root, &files)?.encode_file_descriptor_set();
    fs::write(out.join("public_descriptors.bin"), public)?;

    set.file
        .retain(|file| !OPTION_PACKAGES.contains(&file.package()));
    tonic_prost_build::configure()
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .btree_map(".")
        .bytes(".")
        .include_file("modules.rs")
        .compile_fds(set)?;
    Ok(())
}

/// The files with their comments and all that they import.
fn compile(root: &Path, files: &[PathBuf]) -> Result<protox::Compiler, protox::Error> {
    let mut compiler = protox::Compiler::new([root])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(files)?;
    Ok(compiler)
}

/// All `.proto` files below `dir`.
fn protos(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(protos(&path)?);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            found.push(path);
        }
    }
    Ok(found)
}
