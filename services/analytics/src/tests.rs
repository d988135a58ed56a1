mod auditing;
mod verification;
mod world;
