//! A device against its own end.

use super::*;

const ROUNDS: usize = 20;

/// R45: a device that connects, subscribes and leaves as fast as it can, under eight client ids, has nothing at the
/// broker once it is revoked or quarantined.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_races_its_own_end_leaves_nothing() {
    let lab = std::sync::Arc::new(Lab::new());
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let mut behind = Client::behind(&broker, "service").await;
    for round in 0..ROUNDS {
        let device = format!("pump-{round}");
        let holder = std::sync::Arc::new(lab.device(&device));
        let subscribed = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut racers = tokio::task::JoinSet::new();
        for part in 0..8 {
            let (lab, holder, device) = (lab.clone(), holder.clone(), device.clone());
            let (subscribed, address) = (subscribed.clone(), running.address);
            racers.spawn(async move {
                let (client_id, filter) = (format!("{device}/{part}"), format!("cmd/{device}/#"));
                loop {
                    let tls = lab.client_tls(Some(&holder));
                    let Ok(stream) = tls.connect(&address.to_string(), "127.0.0.1", crate::lab::CAP).await
                    else {
                        return;
                    };
                    let version = if part % 2 == 0 { V5 } else { V311 };
                    let mut client = Client::over(Box::new(stream), version);
                    if !client.races(&kept(version, &client_id), &filter).await {
                        return;
                    }
                    subscribed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
        until(|| (subscribed.load(std::sync::atomic::Ordering::Relaxed) >= 16).then_some(())).await;
        let change = match round % 2 {
            0 => lab.revoke(&holder),
            _ => Change::SetStanding { handle: device.parse().unwrap(), standing: Standing::Quarantined },
        };
        running.fold(&lab, &lab.publish(vec![change])).await;
        while racers.join_next().await.is_some() {}
        running.live(0).await;
        behind.unheard(&format!("cmd/{device}/x")).await;
    }
}
