//! The engines of leases pass their suite: in memory here, on Kafka in `kafka`.

use std::sync::Arc;
use std::time::Duration;

use prepx_bus::Leases;
use prepx_bus::conformance::leases::{Engine, PARTITIONS, run};
use prepx_bus::lease::{Group, Member};

struct Memory {
    group: Arc<Group>,
    members: Vec<std::sync::Weak<Member>>,
}

impl Engine for Memory {
    fn join(&mut self) -> Arc<dyn Leases> {
        let member = self.group.join();
        self.members.push(Arc::downgrade(&member));
        member
    }

    fn silence(&mut self, member: &Arc<dyn Leases>) {
        let members = self.members.iter().filter_map(std::sync::Weak::upgrade);
        let of = |each: &Arc<Member>| std::ptr::addr_eq(Arc::as_ptr(each), Arc::as_ptr(member));
        members.filter(of).for_each(|member| member.expire());
    }
}

#[test]
fn in_memory() {
    run(|| Memory {
        group: Group::new(PARTITIONS, Duration::from_secs(1)),
        members: Vec::new(),
    });
}
