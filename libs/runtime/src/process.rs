//! Metrics of the process itself, from the operating system and from tokio: CPU, memory, file descriptors,
//! threads, and how busy the workers are. Without `/proc`, only the workers.

use std::fs;

use metrics::{Counter, Gauge};
use prepx_env::{Clock as _, SystemClock};
use tokio::runtime::{Handle, RuntimeMetrics};

/// The unit of CPU time in `/proc/self/stat`, on every Linux that Rust supports.
const TICK_MILLISECONDS: u64 = 10;

/// The metrics, and their sources.
pub(crate) struct Process {
    workers: RuntimeMetrics,
    cpu_milliseconds: Counter,
    resident_bytes: Gauge,
    threads: Gauge,
    open_files: Gauge,
    tasks: Gauge,
    waiting: Gauge,
    busy_milliseconds: Counter,
}

impl Process {
    /// The metrics of this process. Must be called within the tokio runtime.
    pub(crate) fn begin(service: &'static str) -> Process {
        let version = [("service", service), ("version", env!("CARGO_PKG_VERSION"))];
        metrics::gauge!("prepx_build_info", &version).set(1.0);
        let began = SystemClock::new().now().0 as f64 / 1e6;
        metrics::gauge!("process_start_time_seconds").set(began);
        if let Some(most) = files_max() {
            metrics::gauge!("process_max_fds").set(most);
        }
        let workers = Handle::current().metrics();
        metrics::gauge!("prepx_runtime_workers").set(workers.num_workers() as f64);
        Process {
            workers,
            cpu_milliseconds: metrics::counter!("process_cpu_milliseconds_total"),
            resident_bytes: metrics::gauge!("process_resident_memory_bytes"),
            threads: metrics::gauge!("process_threads"),
            open_files: metrics::gauge!("process_open_fds"),
            tasks: metrics::gauge!("prepx_runtime_tasks"),
            waiting: metrics::gauge!("prepx_runtime_waiting_tasks"),
            busy_milliseconds: metrics::counter!("prepx_runtime_busy_milliseconds_total"),
        }
    }

    /// Updates the metrics.
    pub(crate) fn look(&self) {
        let told = [
            (&self.resident_bytes, resident_bytes()),
            (&self.threads, listed("/proc/self/task")),
            (&self.open_files, listed("/proc/self/fd")),
        ];
        if let Some(cpu_milliseconds) = cpu_milliseconds() {
            self.cpu_milliseconds.absolute(cpu_milliseconds);
        }
        for (gauge, value) in told {
            if let Some(value) = value {
                gauge.set(value);
            }
        }
        self.tasks.set(self.workers.num_alive_tasks() as f64);
        self.waiting.set(self.workers.global_queue_depth() as f64);
        let busy = (0..self.workers.num_workers())
            .map(|worker| self.workers.worker_total_busy_duration(worker).as_millis())
            .sum::<u128>();
        self.busy_milliseconds
            .absolute(u64::try_from(busy).unwrap_or(u64::MAX));
    }
}

fn cpu_milliseconds() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // After the name of the program, which may contain blanks: user and system time are the 12th and 13th
    // fields.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut times = rest.split_ascii_whitespace().skip(11);
    let (user, system) = (times.next()?, times.next()?);
    Some((user.parse::<u64>().ok()? + system.parse::<u64>().ok()?) * TICK_MILLISECONDS)
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024.0)
}

fn files_max() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The number of entries in a directory.
fn listed(directory: &str) -> Option<f64> {
    Some(fs::read_dir(directory).ok()?.count() as f64)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_understood() {
        assert!(cpu_milliseconds().is_some());
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1e5));
        assert!(files_max().is_some_and(|most| most >= 1.0));
        assert!(listed("/proc/self/fd").is_some_and(|open| open >= 3.0));
    }
}
