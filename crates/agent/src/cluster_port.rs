//! The cluster port of a node that is alone: it listens, counts, and answers nobody.
//!
//! Bound only when `cluster.listen` is configured, so that a wrong address shows at start.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;

use crate::front::Front;

/// Binds the port.
pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    UdpSocket::bind(address).await
}

/// Counts what comes, until the process ends.
pub(crate) async fn count(socket: UdpSocket, front: Arc<Front>) {
    let mut datagram = [0; 2_048];
    loop {
        match socket.recv_from(&mut datagram).await {
            Ok((_, from)) => {
                if front.meters.datagrams_alone.get() == 0 {
                    tracing::warn!(%from, "a datagram came to the cluster port, but this version runs alone; dropped, and counted from now on");
                }
                front.meters.datagrams_alone.add(1);
            }
            Err(error) => {
                tracing::debug!(%error, "cluster port");
                tokio::time::sleep(base::Duration::from_millis(100)).await;
            }
        }
    }
}
