//! What the programs of all services share: settings, engines, and the layers around the routes.
//!
//! Owns the settings that all services of a platform have in common, and how engines, peers and the process are set up
//! from them. Refuses to know a service: each has a `main.rs` that puts it together.

pub mod engines;
mod lanes;
mod order_path;
mod part;
mod peers;
mod platform;
mod program;
mod settings;
mod standby;

pub use lanes::lanes;
pub use order_path::OrderPath;
pub use part::Part;
pub use peers::Peers;
pub use platform::{Platform, listening};
pub use prepx_runtime::tls::Callers;
pub use program::{About, explained, main_before, main_of, print_ready};
pub use settings::{DATA_DIR, Settings, WARM_SECONDS, check_dev_is_local};
