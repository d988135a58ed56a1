//! The comments of proto files, which become descriptions.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, FileDescriptor};

/// The comments in front of declarations, by file and path.
pub(super) struct Comments(HashMap<String, HashMap<Vec<i32>, String>>);

impl Comments {
    pub(super) fn read(pool: &DescriptorPool) -> Comments {
        let of_file = |file: FileDescriptor| {
            let info = file
                .file_descriptor_proto()
                .source_code_info
                .clone()
                .unwrap_or_default();
            let comments = info.location.into_iter().filter_map(|location| {
                let comment = location.leading_comments.or(location.trailing_comments)?;
                let lines: Vec<&str> = comment.lines().map(str::trim).collect();
                Some((location.path, lines.join("\n").trim().to_owned()))
            });
            (file.name().to_owned(), comments.collect())
        };
        Comments(pool.files().map(of_file).collect())
    }

    pub(super) fn of(&self, file: &FileDescriptor, path: &[i32]) -> &str {
        let comment = self
            .0
            .get(file.name())
            .and_then(|comments| comments.get(path));
        comment.map_or("", String::as_str)
    }
}
