// Package fakemesh is a cluster with a mesh in memory, for tests: an API server with resourceVersions, owners of fields
// and leases, proxies that take a configuration with a delay, traffic that follows the routes in force, and a metrics
// source that counts it. A Node is one runner's way into it, with faults and crashes at any call. Everything moves with
// time alone, so that a test inside a synctest bubble is exact and takes no time.
package fakemesh
