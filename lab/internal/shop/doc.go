// Package shop is the command line of the sample system that runs on the lab's mesh: the service of every pod (serve),
// and from the host the load that its client pods make (load) and how its pods behave (behave).
package shop
