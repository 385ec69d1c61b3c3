use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use ipnet::{Ipv4Net, Ipv6Net};
use pointsman_ebpf::abi::{
    AddressOwner, Forward, Group, Ipv4, Ipv6, LanNetwork, LocalAddress, Nat64, Port, ROUTED_SIDE,
    Settings, SitePrefix, Uplink, Uplink6, Vlan, uplink_of,
};

use super::buckets::Ranking;
use super::policy::{Interface, Policy};
use crate::dataplane::{AttachError, Contents, Dataplane, Frames, Link, TableError};

/// Something of a policy that could not be installed. The next installation tries again.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A map could not be written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The program could not be attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The table of interfaces has no place for one.
    #[error("there is no place for {0} in the data plane's table; serve fewer interfaces")]
    NoPlace(String),
}

/// Writes policies into a data plane: the first as a whole, and of each later one what is
/// different.
///
/// **Invariant:** an uplink is alive in the data plane only while all that packets need of it is
/// there.
#[derive(Debug, Default)]
pub struct Installer {
    alive: u64,
    /// Who was taken out of that since [`Self::take_left`].
    left: u64,
    settings: Option<Settings>,
    egress: BTreeMap<u16, u32>,
    vlans: BTreeMap<u16, Vlan>,
    ports: BTreeMap<u32, Port>,
    uplinks: BTreeMap<u8, Uplink>,
    groups: BTreeMap<u8, Group>,
    rankings: BTreeMap<u8, Ranking>,
    pool: BTreeMap<u32, Ipv4>,
    forwards: BTreeMap<u32, Forward>,
    /// Words by index, those that are not zero.
    own_ports: BTreeMap<u32, u64>,
    local: BTreeMap<LocalAddress, AddressOwner>,
    uplinks6: BTreeMap<u8, Uplink6>,
    nat64: Nat64,
    addresses6: BTreeMap<u16, Ipv6>,
    site_prefixes: BTreeMap<Ipv6Net, SitePrefix>,
    lan_networks: BTreeMap<Ipv4Net, LanNetwork>,
    /// Those that were written and not yet taken by [`Self::take_joined`].
    joined: Vec<Ipv4Net>,
    /// Interfaces that the program is attached to, by index, and for which frames.
    attached: BTreeMap<u32, Frames>,
    /// Those that it could not be attached to, which the data plane may have changed for that.
    refused: BTreeSet<u32>,
}

impl Installer {
    /// Goes on with a data plane that another has filled. The buckets are written anew, for which rankings they
    /// were made of cannot be told: that changes none that is as it is to be.
    pub fn inheriting(contents: Contents) -> Self {
        let Contents { alive, settings, egress, vlans, ports, uplinks, groups, pool, .. } =
            contents;
        let Contents { forwards, own_ports, local, uplinks6, nat64, addresses6, .. } = contents;
        let Contents { site_prefixes, lan_networks, .. } = contents;
        Self {
            alive,
            settings,
            egress,
            vlans,
            ports,
            uplinks,
            groups,
            pool,
            forwards,
            own_ports,
            local,
            uplinks6,
            nat64,
            addresses6,
            site_prefixes,
            lan_networks,
            ..Self::default()
        }
    }

    /// Takes out of the switch whoever is not in `alive`: what is to happen before anything else.
    pub fn lower(&mut self, dataplane: &mut impl Dataplane, alive: u64) {
        self.throw(dataplane, self.alive & alive);
    }

    fn throw(&mut self, dataplane: &mut impl Dataplane, alive: u64) {
        if alive != self.alive {
            dataplane.set_alive(alive);
            self.left |= self.alive & !alive;
            self.alive = alive;
        }
    }

    /// Installs a policy, and lets those of `alive` carry traffic for whom all is in place. Returns
    /// what did not work.
    pub fn install(
        &mut self,
        dataplane: &mut impl Dataplane,
        policy: &Policy,
        alive: u64,
    ) -> Vec<InstallError> {
        let errors = self.install_beside(dataplane, policy, alive);
        self.detach(dataplane, policy);
        errors
    }

    /// The same, but for letting go of the interfaces that the policy does not have, which is
    /// [`Self::detach`]: what was installed before can be installed again without attaching.
    pub(super) fn install_beside(
        &mut self,
        dataplane: &mut impl Dataplane,
        policy: &Policy,
        alive: u64,
    ) -> Vec<InstallError> {
        let mut errors = Vec::new();
        let renewed = self.renewed(policy);
        let routing = { policy.uplinks.keys().filter(|side| **side >= ROUTED_SIDE) }
            .fold(0, |routing, side| routing | 1 << uplink_of(*side));
        self.lower(dataplane, alive & !(renewed & !routing));
        // What an uplink routes goes on meanwhile.
        let nat44 = policy.settings.nat44 & !(renewed & routing);
        let settings = Settings { nat44, ..policy.settings };
        self.install_tables(dataplane, policy, settings, &mut errors);
        let settled = self.install_settings(dataplane, policy.settings);
        errors.extend(settled.err().map(InstallError::from));
        self.attach(dataplane, policy, &mut errors);
        self.throw(dataplane, alive & self.ready(policy));
        errors
    }

    /// The uplinks that flows have left since the last call, a bit each, or that had others' addresses meanwhile;
    /// none yet, where there is none that they could go over to.
    pub fn take_left(&mut self) -> u64 {
        if self.alive == 0 { 0 } else { mem::take(&mut self.left) }
    }

    /// How the interfaces are reached that egress slots stand for.
    pub fn links(&self) -> BTreeMap<u16, Link> {
        let link = |(slot, ifindex): (&u16, &u32)| {
            let vlan = self.vlans.get(slot).copied().unwrap_or_default();
            (*slot, Link { ifindex: *ifindex, vlan })
        };
        self.egress.iter().map(link).collect()
    }

    /// The networks that have become the LAN's since the last call. What was opened to them before goes by
    /// an uplink still.
    pub fn take_joined(&mut self) -> Vec<Ipv4Net> {
        mem::take(&mut self.joined)
    }

    /// Uplinks that change their address: nothing is translated to it while that is written.
    fn renewed(&self, policy: &Policy) -> u64 {
        self.uplinks
            .iter()
            .filter(|(side, old)| {
                let new = policy.uplinks.get(side);
                **side < ROUTED_SIDE && new.is_none_or(|new| new.generation != old.generation)
            })
            .fold(0, |renewed, (id, _)| renewed | 1 << id)
    }

    /// Uplinks whose records are written, and whose interface has the program, is in the table of
    /// ports, and is what the egress slot stands for.
    fn ready(&self, policy: &Policy) -> u64 {
        let (mut ready, mut unready) = (0, 0);
        for (side, record) in &policy.uplinks {
            let is_ready = self.uplinks.get(side) == Some(record)
                && policy.interfaces.get(&record.egress).is_some_and(|interface| {
                    let ifindex = interface.port.ifindex;
                    self.attached.contains_key(&ifindex)
                        && self.ports.values().any(|port| *port == interface.port)
                        && self.egress.get(&record.egress) == Some(&ifindex)
                        && self.vlans.get(&record.egress).copied().unwrap_or_default()
                            == interface.port.vlan
                });
            *if is_ready { &mut ready } else { &mut unready } |= 1 << uplink_of(*side);
        }
        ready & !unready
    }

    fn install_settings(
        &mut self,
        dataplane: &mut impl Dataplane,
        settings: Settings,
    ) -> Result<(), TableError> {
        if self.settings != Some(settings) {
            dataplane.set_settings(&settings)?;
            self.settings = Some(settings);
        }
        Ok(())
    }

    fn install_tables(
        &mut self,
        dataplane: &mut impl Dataplane,
        policy: &Policy,
        settings: Settings,
        errors: &mut Vec<InstallError>,
    ) {
        let mut note = |result: Result<(), TableError>| {
            result.map_err(|error| errors.push(error.into())).is_ok()
        };
        // Before a port is handed out.
        sync(&mut self.own_ports, policy.own_ports.words().collect(), |word, ports| {
            note(dataplane.set_own_ports(word, ports.copied().unwrap_or_default()))
        });
        sync(&mut self.forwards, policy.forwards.clone(), |index, forward| {
            note(dataplane.set_forward(index, forward.unwrap_or(&Forward::default())))
        });
        note(self.install_settings(dataplane, settings));
        if self.nat64 != policy.nat64 && note(dataplane.set_nat64(&policy.nat64)) {
            self.nat64 = policy.nat64;
        }
        let egress = policy
            .interfaces
            .iter()
            .map(|(slot, interface)| (*slot, interface.port.ifindex))
            .collect();
        sync(&mut self.egress, egress, |slot, ifindex| {
            note(dataplane.set_egress(slot, ifindex.copied()))
        });
        sync(&mut self.vlans, policy.vlans(), |slot, vlan| {
            note(dataplane.set_vlan(slot, vlan.copied().unwrap_or_default()))
        });
        sync(&mut self.pool, policy.pool.clone(), |index, address| {
            // Nobody reads what is beyond the end of an uplink's.
            note(dataplane.set_pool(index, address.copied().unwrap_or_default()))
        });
        sync(&mut self.uplinks, policy.uplinks.clone(), |side, uplink| {
            note(dataplane.set_uplink(side, uplink.unwrap_or(&Uplink::default())))
        });
        // The buckets of a group that is gone are read by nobody.
        self.rankings.retain(|id, _| policy.groups.contains_key(id));
        for (&id, (_, ranking)) in &policy.groups {
            // Of one that is written in part, nothing is known until all of it is.
            if self.rankings.get(&id) == Some(ranking) {
                continue;
            }
            self.rankings.remove(&id);
            if note(dataplane.set_ranking(id, ranking)) {
                self.rankings.insert(id, ranking.clone());
            }
        }
        let groups = policy.groups.iter().map(|(id, (group, _))| (*id, *group));
        sync(&mut self.groups, groups.collect(), |id, group| {
            note(dataplane.set_group(id, group.unwrap_or(&Group::default())))
        });
        sync(&mut self.local, policy.local.clone(), |address, owner| {
            note(dataplane.set_local(address, owner.copied()))
        });
        sync(&mut self.addresses6, policy.addresses6.clone(), |slot, address| {
            note(dataplane.set_address6(slot, address.copied().unwrap_or_default()))
        });
        sync(&mut self.uplinks6, policy.uplinks6.clone(), |id, uplink| {
            note(dataplane.set_uplink6(id, uplink.unwrap_or(&Uplink6::default())))
        });
        // After the uplinks that they name.
        sync(&mut self.site_prefixes, policy.site_prefixes.clone(), |prefix, known| {
            note(dataplane.set_site_prefix(prefix, known))
        });
        sync(&mut self.lan_networks, policy.lan_networks.clone(), |prefix, network| {
            let written = note(dataplane.set_lan_network(prefix, network));
            if written && network.is_some() {
                self.joined.push(prefix);
            }
            written
        });
        let (ports, left_over) = policy.ports();
        sync(&mut self.ports, ports, |slot, port| {
            note(dataplane.set_port(slot, port.unwrap_or(&Port::default())))
        });
        errors.extend(left_over.into_iter().map(InstallError::NoPlace));
    }

    /// Detaches from interfaces that are gone or no longer the gateway's.
    pub(super) fn detach(&mut self, dataplane: &mut impl Dataplane, policy: &Policy) {
        let wanted: BTreeSet<_> =
            policy.interfaces.values().map(|interface| interface.port.ifindex).collect();
        let mut stays = |ifindex: &u32| {
            let stays = wanted.contains(ifindex);
            if !stays {
                dataplane.detach(*ifindex);
            }
            stays
        };
        self.attached.retain(|ifindex, _| stays(ifindex));
        self.refused.retain(stays);
    }

    fn attach(
        &mut self,
        dataplane: &mut impl Dataplane,
        policy: &Policy,
        errors: &mut Vec<InstallError>,
    ) {
        // Several ports may be VLANs of one interface.
        let interfaces: BTreeMap<u32, &Interface> = policy
            .interfaces
            .values()
            .map(|interface| (interface.port.ifindex, interface))
            .collect();
        self.attach_each(dataplane, policy, &interfaces, errors);
        let before = self.attached.len();
        self.attached.retain(|ifindex, _| dataplane.is_attached(*ifindex));
        if self.attached.len() < before {
            self.attach_each(dataplane, policy, &interfaces, errors);
        }
        let tagged = policy.tagged.iter().filter(|ifindex| self.attached.contains_key(ifindex));
        tagged.for_each(|ifindex| dataplane.expect_tags(*ifindex));
    }

    fn attach_each(
        &mut self,
        dataplane: &mut impl Dataplane,
        policy: &Policy,
        interfaces: &BTreeMap<u32, &Interface>,
        errors: &mut Vec<InstallError>,
    ) {
        for (&ifindex, interface) in interfaces {
            let frames = policy.frames(ifindex);
            let before = self.attached.get(&ifindex).copied();
            if before == Some(frames) {
                continue;
            }
            match dataplane.attach(&interface.name, ifindex, frames) {
                Ok(mode) => {
                    if before.is_none() {
                        log::info!("{}: attached ({mode})", interface.name);
                    }
                    self.attached.insert(ifindex, frames);
                    self.refused.remove(&ifindex);
                }
                Err(error) => {
                    self.attached.remove(&ifindex);
                    self.refused.insert(ifindex);
                    errors.push(error.into());
                }
            }
        }
    }
}

/// Makes `have` equal to `want` by writing what is different: `write` gets a key with its new
/// value, or with none, and says whether it succeeded. What did not is left as it was.
fn sync<K: Ord + Copy, V: PartialEq>(
    have: &mut BTreeMap<K, V>,
    want: BTreeMap<K, V>,
    mut write: impl FnMut(K, Option<&V>) -> bool,
) {
    have.retain(|key, _| want.contains_key(key) || !write(*key, None));
    for (key, value) in want {
        if have.get(&key) != Some(&value) && write(key, Some(&value)) {
            have.insert(key, value);
        }
    }
}
