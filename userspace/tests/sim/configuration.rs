//! Configurations at random, as an operator writes them.

use std::fmt::Write as _;

use pointsman::config::{self, Config};
use pointsman_ebpf::memory::Random;

use super::world::{LAN, gateway};

/// Who is asked by probes.
const TARGETS: [&str; 3] = ["192.0.2.53", "192.0.2.54", "192.0.2.55"];

/// A configuration, and the file that it is.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    pub(crate) text: String,
    pub(crate) config: Config,
}

/// One of two to five uplinks.
pub(crate) fn draw(random: &mut Random) -> Configuration {
    let mut numbers: Vec<u8> = (0..LAN).collect();
    shuffle(random, &mut numbers);
    numbers.truncate(2 + random.below(4));
    let mut text = "[lan]\ninterfaces = [\"lan0\"]\n".to_owned();
    // Seldom, an uplink is on the interface of another one.
    let shift = if random.below(8) == 0 { 1 } else { 0 };
    for number in &numbers {
        uplink(random, &mut text, *number, (number + shift) % LAN);
    }
    group(random, &mut text, &numbers);
    let config = match config::parse("simulated.toml", &text) {
        Ok((config, _)) => config,
        Err(error) => panic!("the simulator's own configuration is wrong: {error}\n{text}"),
    };
    Configuration { text, config }
}

fn shuffle(random: &mut Random, numbers: &mut [u8]) {
    for last in (1..numbers.len()).rev() {
        numbers.swap(last, random.below(last + 1));
    }
}

/// Whether, `of` so many times, once.
fn once(random: &mut Random, of: usize) -> bool {
    random.below(of) == 0
}

fn uplink(random: &mut Random, text: &mut String, number: u8, interface: u8) {
    let weight = 1 + random.below(5);
    *text += &format!("[[uplink]]\nname = \"u{number}\"\ninterface = \"wan{interface}\"\n");
    *text += &format!("weight = {weight}\n");
    if once(random, 2) {
        *text += &format!("gateway = \"{}\"\n", gateway(interface, random.below(2) as u8));
    }
    if once(random, 6) {
        // One that the kernel has, or that is routed here only.
        let last = [2, 77][random.below(2)];
        let address = format!("198.51.{}.{last}", 100 + interface);
        *text += &format!("ipv4 = {{ mode = \"nat44\", addresses = [\"{address}\"] }}\n");
    }
    let mut health = String::new();
    watch(random, &mut health);
    believe(random, &mut health);
    if !health.is_empty() {
        *text += "[uplink.health]\n";
        *text += &health;
    }
}

/// How it is found out how an uplink is.
fn watch(random: &mut Random, health: &mut String) {
    let probes = random.below(4);
    if probes > 0 {
        let probe = |target: &&str| format!("{{ kind = \"icmp\", target = \"{target}\" }}");
        let probes: Vec<String> = TARGETS.iter().take(probes).map(probe).collect();
        *health += &format!("probes = [{}]\n", probes.join(", "));
        let quorum = ["\"any\"", "\"all\"", "1"][random.below(3)];
        let (down_after, up_after) = (1 + random.below(4), 1 + random.below(4));
        *health +=
            &format!("quorum = {quorum}\ndown_after = {down_after}\nup_after = {up_after}\n");
        if once(random, 3) {
            *health += "sla = { window = \"2s\", min_samples = 3, \
                        degraded = { loss = { enter = \"30%\", leave = \"10%\" }, \
                        latency = { enter = \"50ms\", leave = \"40ms\" } }, \
                        down = { loss = { enter = \"70%\", leave = \"40%\" } } }\n";
        }
    }
    if once(random, 4) {
        *health += ["bfd = {}\n", "bfd = { mode = \"echo\" }\n"][random.below(2)];
    }
    if once(random, 4) {
        *health += "passive = { action = \"down\", window = \"500ms\", packets = 3, \
                    retry = \"5s\" }\n";
    }
}

/// What it takes to believe that an uplink is well.
fn believe(random: &mut Random, health: &mut String) {
    if once(random, 3) {
        let _ = writeln!(health, "hold_down = \"{}ms\"", [100, 3_000, 20_000][random.below(3)]);
    }
    if once(random, 3) {
        let half_life = ["2s", "10s"][random.below(2)];
        let suppress = [1_000, 1_900, 2_500][random.below(3)];
        let _ = writeln!(
            health,
            "dampening = {{ half_life = \"{half_life}\", suppress = {suppress}, reuse = 700, \
             max_suppress = \"40s\" }}"
        );
    }
}

fn group(random: &mut Random, text: &mut String, numbers: &[u8]) {
    let mut members = numbers.to_vec();
    shuffle(random, &mut members);
    if once(random, 6) {
        members.pop();
    }
    let first = 1 + random.below(members.len());
    let tiers = [&members[..first], &members[first..]];
    let tier = |tier: &&[u8]| {
        let names: Vec<String> = tier.iter().map(|number| format!("\"u{number}\"")).collect();
        format!("[{}]", names.join(", "))
    };
    let tiers: Vec<String> = tiers.iter().filter(|tier| !tier.is_empty()).map(tier).collect();
    let sticky = ["flow", "source", "source-destination"][random.below(3)];
    let last_resort = ["least-bad", "least-bad", "unreachable"][random.below(3)];
    *text += &format!(
        "[[group]]\nname = \"default\"\nuplinks = [{}]\nsticky = \"{sticky}\"\n\
         last_resort = \"{last_resort}\"\n",
        tiers.join(", ")
    );
}
