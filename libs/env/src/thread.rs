//! How a thread gives way to the others of the machine.

/// How far behind: a thread at this nice value gets a tenth of what one at the usual value gets, and
/// all that nobody else wants.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Lets others go before this thread, and before those that it starts from now on: for work that
/// may come later, such as projections, beside the order path, which may not.
///
/// Where threads have no priority of their own (anywhere but on Linux), this does nothing.
pub fn yield_to_others() {
    // Refused, it costs speed and nothing else.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICE);
}
