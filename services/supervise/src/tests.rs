use super::*;
use tokio::sync::mpsc;

/// How the first run of a task ends.
#[derive(Clone, Copy, Debug)]
enum First {
    Returns,
    Panics,
    PanicsWhileMade,
}

async fn run(how: First) {
    match how {
        First::Returns => {}
        First::Panics | First::PanicsWhileMade => panic!("on purpose"),
    }
}

#[tokio::test]
async fn a_task_that_ends_is_started_again_until_it_is_asked_to_end() {
    for how in [First::Returns, First::Panics, First::PanicsWhileMade] {
        let tasks = Supervisor::new();
        let (told, mut runs) = mpsc::channel(8);
        let stop = tasks.listener();
        let ended = tasks.restarted("work", tasks.listener(), move |first| {
            assert!(!(first && matches!(how, First::PanicsWhileMade)), "on purpose");
            let (told, mut stop) = (told.clone(), stop.clone());
            async move {
                told.send(first).await.unwrap();
                if first {
                    return run(how).await;
                }
                stop.stopped().await;
            }
        });
        if !matches!(how, First::PanicsWhileMade) {
            assert_eq!(runs.recv().await, Some(true), "{how:?}");
        }
        assert_eq!(runs.recv().await, Some(false), "{how:?}");
        tasks.stop();
        ended.wait().await;
        assert_eq!(tasks.ended().await, None, "{how:?}");
        assert_eq!(runs.recv().await, None, "{how:?}: no third run");
    }
}

#[test]
fn pauses_grow_up_to_a_limit_and_begin_anew_after_a_long_run() {
    let (short, long) = (Duration::from_millis(1), RECOVERED_AFTER);
    let runs = [short, short, short, short, short, short, short, short, long, short];
    let mut pauses = Pauses::default();
    let paused: Vec<_> = runs.iter().map(|ran| pauses.after(*ran).as_millis()).collect();
    assert_eq!(paused, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 100, 200]);
}

#[tokio::test]
async fn the_end_of_a_vital_task_ends_the_service() {
    for how in [First::Returns, First::Panics] {
        let tasks = Supervisor::new();
        let (stop, mut other) = (tasks.listener(), tasks.listener());
        let _ = tasks.restarted("other", tasks.listener(), move |_| {
            let mut stop = stop.clone();
            async move { stop.stopped().await }
        });
        let _ = tasks.vital("heart", tasks.listener(), run(how));
        assert_eq!(tasks.lost().await.to_string(), "heart");
        other.stopped().await;
        assert_eq!(tasks.ended().await.unwrap().to_string(), "heart", "{how:?}");
        assert!(tasks.listener().is_stopped());
    }
}

#[tokio::test]
async fn a_vital_task_may_end_when_it_is_asked_to() {
    let tasks = Supervisor::new();
    let mut stop = tasks.listener();
    let ended = tasks.vital("heart", tasks.listener(), async move { stop.stopped().await });
    tasks.stop();
    ended.wait().await;
    assert_eq!(tasks.ended().await, None);
}

/// With a stop of their own, that comes later or never: they go on for their last words, and end when these are said.
#[tokio::test]
async fn what_ends_once_the_service_was_asked_to_end_is_neither_started_again_nor_lost() {
    for how in [First::Returns, First::Panics] {
        let tasks = Supervisor::new();
        let (last, own) = StopSwitch::new();
        let (told, mut runs) = mpsc::channel(8);
        let mut service = tasks.listener();
        let heart = tasks.vital("heart", own.clone(), async move {
            service.stopped().await;
            run(how).await;
        });
        let service = tasks.listener();
        let upload = tasks.restarted("upload", own, move |first| {
            let (told, mut service) = (told.clone(), service.clone());
            async move {
                told.send(first).await.unwrap();
                service.stopped().await;
                run(how).await;
            }
        });
        assert_eq!(runs.recv().await, Some(true), "{how:?}");
        tasks.stop();
        heart.wait().await;
        upload.wait().await;
        assert_eq!(tasks.ended().await, None, "{how:?}");
        assert_eq!(runs.recv().await, None, "{how:?}: no second run");
        drop(last);
    }
}

#[tokio::test]
async fn a_thread_may_return_and_its_panic_ends_the_service() {
    let tasks = Supervisor::new();
    tasks.thread("worker", || {}).unwrap().join().unwrap();
    assert!(!tasks.listener().is_stopped());
    tasks.thread("writer", || panic!("on purpose")).unwrap().join().unwrap();
    assert_eq!(tasks.lost().await.to_string(), "writer");
    assert!(tasks.listener().is_stopped());
    assert_eq!(tasks.ended().await, Some(Lost("writer")));
}

#[tokio::test]
async fn a_supervisor_that_is_dropped_ends_its_tasks() {
    let tasks = Supervisor::new();
    let mut stop = tasks.listener();
    let ended = tasks.vital("heart", tasks.listener(), async move { stop.stopped().await });
    drop(tasks);
    ended.wait().await;
}
