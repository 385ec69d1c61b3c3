use super::*;

const ACK: u32 = Mark::ANY | Mark::ACK;

#[test]
fn a_flow_goes_when_both_directions_are_idle() {
    for (protocol, timer) in [(UDP, UDP_IDLE), (ICMP, ICMP_IDLE), (GRE, UDP_IDLE)] {
        for (out, back, left) in [
            (timer + 1, timer + 1, 0),
            (timer + 1, timer, 2),
            (timer, timer + 1, 2),
            (timer, timer, 2),
            (0, NOW, 2),
            (NOW, 0, 2),
        ] {
            let mut tables = Fake::of_established(pair(protocol, 1, mark(out, 1), mark(back, 1)));
            assert_eq!(tables.sweep().established, left, "{protocol}: {out} and {back}");
        }
    }
}

#[test]
fn tcp_has_two_timers() {
    for (out, back, timer) in [
        (ACK, ACK, TCP_ESTABLISHED),
        (Mark::ANY, ACK, TCP_TRANSITORY),
        (ACK | Mark::FIN, ACK, TCP_ESTABLISHED),
        (ACK | Mark::FIN, ACK | Mark::FIN, TCP_TRANSITORY),
        (ACK, ACK | Mark::RST, TCP_TRANSITORY),
    ] {
        for (age, left) in [(timer, 2), (timer + 1, 0)] {
            let mut tables = Fake::of_established(pair(TCP, 1, mark(age, out), mark(age, back)));
            assert_eq!(tables.sweep().established, left, "{out:b}, {back:b} after {age}");
        }
    }
}

#[test]
fn the_outward_entry_goes_first() {
    let entries = pair(UDP, 1, mark(500, 1), mark(500, 1));
    let mut tables = Fake::of_established(entries);
    tables.sweep();
    assert_eq!(tables.established.removed, entries.map(|(key, _)| key));
}

#[test]
fn the_outward_entry_goes_first_even_if_it_was_not_read() {
    let [out, back] = pair(UDP, 1, mark(500, 1), mark(500, 1));
    let mut tables = Fake::of_established([back]);
    tables.established.after_reading = Some(Box::new(move |entries| entries.extend([out])));
    tables.sweep_amid_changes();
    assert_eq!(tables.established.removed, [out.0, back.0]);
}

#[test]
fn a_hairpin_is_one_flow_too() {
    for (opening, answer, left) in [(121, 121, 0), (121, 120, 2), (120, 121, 2)] {
        let mut tables = Fake::of_established(hairpin(UDP, mark(opening, 1), mark(answer, 1)));
        assert_eq!(tables.sweep().established, left, "{opening} and {answer}");
    }
    for (age, left) in [(TCP_ESTABLISHED, 2), (TCP_ESTABLISHED + 1, 0)] {
        let mut tables = Fake::of_established(hairpin(TCP, mark(age, ACK), mark(age, ACK)));
        assert_eq!(tables.sweep().established, left, "after {age}");
    }
}

#[test]
fn an_entry_that_no_packet_has_taken_is_as_old_as_it_is() {
    for (created, left) in [(NOW - UDP_IDLE, 2), (NOW - UDP_IDLE - 1, 0)] {
        let entries = pair(UDP, 1, Mark::default(), Mark::default());
        let made = entries.map(|(key, flow)| (key, Flow { created, ..flow }));
        assert_eq!(Fake::of_established(made).sweep().established, left, "{created}");
    }
}

#[test]
fn what_a_moved_flow_left_behind_goes_by_itself() {
    let after = pair(TCP, 2, mark(5, ACK), mark(5, ACK));
    for (age, left) in [(TCP_TRANSITORY, 3), (TCP_TRANSITORY + 1, 2)] {
        let [_, before] = pair(TCP, 1, mark(age, ACK), mark(age, ACK));
        let mut tables = Fake::of_established([before].into_iter().chain(after));
        assert_eq!(tables.sweep().established, left, "after {age}");
        assert!(after.iter().all(|(key, _)| tables.established.entries.contains_key(key)));
    }
}

#[test]
fn an_established_flow_without_the_way_of_its_answers_goes_at_once() {
    let [(key, flow), (back_key, back)] = pair(UDP, 1, mark(0, 1), mark(0, 1));
    assert_eq!(Fake::of_established([(key, flow)]).sweep().established, 0);
    assert_eq!(Fake::of_established([(back_key, back)]).sweep().established, 1);
    for half in hairpin(UDP, mark(0, 1), mark(0, 1)) {
        assert_eq!(Fake::of_established([half]).sweep().established, 0);
    }
}

#[test]
fn a_flow_that_is_made_while_the_table_is_read_is_not_taken_for_half_of_one() {
    let [out, back] = pair(UDP, 1, mark(0, 1), mark(0, 1));
    let mut tables = Fake::of_established([out]);
    tables.established.after_reading = Some(Box::new(move |entries| entries.extend([back])));
    assert_eq!(tables.sweep().established, 2);
}

#[test]
fn a_flow_that_is_used_after_it_was_read_stays_and_so_does_its_mapping() {
    for used in [0, 1] {
        let entries = pair(UDP, 1, mark(500, 1), mark(500, 1));
        let mut tables = Fake::of_established(entries);
        tables.bindings.entries.extend(mapping(UDP, 1, 500));
        tables.established.after_reading = Some(Box::new(move |table| {
            table.get_mut(&entries[used].0).unwrap().mark = mark(0, 1).0;
        }));
        let census = tables.sweep();
        assert_eq!((census.established, census.bindings), (2, 2), "direction {used}");
    }
}

#[test]
fn a_flow_that_goes_over_to_another_uplink_after_it_was_read_stays() {
    let entries = pair(UDP, 1, mark(500, 1), mark(500, 1));
    let moved = pair(UDP, 2, mark(0, 1), mark(0, 1));
    let mut tables = Fake::of_established(entries);
    tables.established.after_reading = Some(Box::new(move |table| table.extend(moved)));
    tables.sweep_amid_changes();
    // What it left behind is the next pass's.
    assert_eq!(tables.established.entries.len(), 2 + 1);
    assert_eq!(tables.sweep().established, 2);
    assert!(moved.iter().all(|(key, _)| tables.established.entries.contains_key(key)));
}

#[test]
fn a_flow_that_goes_over_at_the_moment_of_its_removal_still_hears_its_answers() {
    let entries = pair(UDP, 1, mark(500, 1), mark(500, 1));
    let moved = pair(UDP, 2, mark(0, 1), mark(0, 1));
    let mut tables = Fake::of_established(entries);
    tables.established.before_removal = Some(Box::new(move |table| table.extend(moved)));
    tables.sweep_amid_changes();
    // The outward entry has the same key as before.
    assert_eq!(tables.established.entries.keys().collect::<Vec<_>>(), [&moved[1].0]);
}

#[test]
fn flows_whose_hash_is_the_same_stay_until_the_next_pass() {
    for age in [0, 500] {
        let mut tables = Fake::of_established(pair(UDP, 1, mark(age, 1), mark(age, 1)));
        tables.bindings.entries.extend(mapping(UDP, 1, 500));
        tables.established.readings = 2;
        tables.sweep_amid_changes();
        let left = (tables.established.entries.len(), tables.bindings.entries.len());
        assert_eq!(left, (2, 2), "after {age}");
        tables.established.readings = 1;
        let left = if age == 0 { 2 } else { 0 };
        let census = tables.sweep();
        assert_eq!((census.established, census.bindings), (left, left), "after {age}");
    }
}

#[test]
fn a_data_plane_that_is_a_tick_ahead_does_no_harm() {
    let ahead = Mark::new(NOW + 1, Epoch::default(), 1);
    assert_eq!(Fake::of_established(pair(UDP, 1, ahead, ahead)).sweep().established, 2);
}

#[test]
fn flows_without_an_answer_have_the_shorter_timers() {
    for (protocol, timer) in
        [(UDP, UDP_IDLE), (TCP, TCP_TRANSITORY), (ICMP, ICMP_IDLE), (GRE, UDP_IDLE)]
    {
        for (age, left) in [(0, 1), (timer, 1), (timer + 1, 0)] {
            let entry = outward(protocol, SERVER, 1, mark(age, ACK));
            let unreplied = Fake::of_unreplied([entry]).sweep().unreplied;
            let invited = Fake::of_invited([entry]).sweep().invited;
            assert_eq!((unreplied, invited), (left, left), "{protocol} after {age}");
        }
    }
}

#[test]
fn a_flow_without_an_answer_that_is_used_after_it_was_read_stays() {
    let (key, flow) = outward(UDP, SERVER, 1, mark(500, 1));
    let mut tables = Fake::of_unreplied([(key, flow)]);
    tables.invited.entries.extend([(key, flow)]);
    let used = move |table: &mut std::collections::BTreeMap<FlowKey, Flow>| {
        table.get_mut(&key).unwrap().mark = mark(0, 1).0;
    };
    tables.unreplied.after_reading = Some(Box::new(used));
    tables.invited.after_reading = Some(Box::new(used));
    let census = tables.sweep();
    assert_eq!((census.unreplied, census.invited), (1, 1));
}

#[test]
fn the_answer_of_a_hairpin_is_waited_for_as_long_as_it_is_asked_for() {
    for (age, left) in [(UDP_IDLE, 2), (UDP_IDLE + 1, 0)] {
        let [opening, (key, answer)] = hairpin(UDP, mark(age, 1), Mark::default());
        let answer = Flow { created: NOW - 1000, ..answer };
        let mut tables = Fake::of_unreplied([opening, (key, answer)]);
        assert_eq!(tables.sweep().unreplied, left, "after {age}");
    }
}

#[test]
fn an_unanswered_flow_that_has_lost_its_mapping_is_to_be_opened_anew() {
    let entry = outward(UDP, SERVER, 1, mark(0, 1));
    let [inner, outer] = mapping(UDP, 1, 0);
    let taken = (outer.0, Binding { address: NEIGHBOUR, ..outer.1 });
    for (bindings, flows, left) in [
        (vec![inner, outer], 1, 2),
        (vec![outer], 1, 1),
        (vec![inner], 0, 0),
        (vec![], 0, 0),
        (vec![taken], 0, 1),
        (vec![inner, taken], 0, 1),
    ] {
        let mut tables = Fake::of_bindings(bindings);
        tables.unreplied.entries.extend([entry]);
        let census = tables.sweep();
        assert_eq!((census.unreplied, census.bindings), (flows, left), "{:?}", tables.counts());
        assert_eq!(tables.counts().iter().map(|count| count.2).sum::<u64>(), flows as u64);
    }
}
