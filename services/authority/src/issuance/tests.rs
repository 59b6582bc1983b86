//! Certificates over a store that loses commits, at once and in any order.

mod by_hardware;
mod by_token;
mod renewals;
