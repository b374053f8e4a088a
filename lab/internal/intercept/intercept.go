// Package intercept sends a pod's traffic through its sidecar, with the redirections that Istio's own
// init container makes with iptables, here made with nf_tables from Go.
package intercept

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Ports of the sidecar.
const (
	outboundPort = 15001
	inboundPort  = 15006
)

// ProxyUID is the user that Envoy and pilot-agent run as; its traffic is not redirected.
const ProxyUID = 1337

// Ports of a proxy's statistics.
const (
	// StatsPort is where a proxy serves its statistics.
	StatsPort = 15090
	// MergedStatsPort is where they are served together with what others count for the proxy.
	MergedStatsPort = 15091
)

// agentPorts are answered by the sidecar itself.
func agentPorts() []uint16 { return []uint16{15000, 15020, 15021, StatsPort} }

// Install redirects the TCP traffic of the network namespace behind fd: what the application sends goes to
// the sidecar's outbound listener, what comes in goes to its inbound one. Ports in excluded come in untouched.
func Install(fd int, excluded []uint16) error {
	c, err := nftables.New(nftables.WithNetNSFd(fd))
	if err != nil {
		return fmt.Errorf("opening nf_tables: %w", err)
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "sidecar"})
	addOutput(c, table)
	addPrerouting(c, table, append(agentPorts(), excluded...))
	if err := c.Flush(); err != nil {
		return fmt.Errorf("writing nf_tables rules (the kernel needs NF_TABLES, NFT_NAT and NFT_REDIR): %w", err)
	}
	return nil
}

// MergeStats hands those who ask a proxy of the network namespace behind fd for its statistics to [MergedStatsPort]
// instead; only root, who merges them, reaches the proxy's own port, by the loopback address.
func MergeStats(fd int) error {
	c, err := nftables.New(nftables.WithNetNSFd(fd))
	if err != nil {
		return fmt.Errorf("opening nf_tables: %w", err)
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "statistics"})
	before := nftables.ChainPriorityRef(*nftables.ChainPriorityNATDest - 1) // the sidecar's rules leave the port alone
	chain := func(name string, hook *nftables.ChainHook) *nftables.Chain {
		return c.AddChain(&nftables.Chain{
			Name: name, Table: table, Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: before,
		})
	}
	others := []expr.Any{
		&expr.Meta{Key: expr.MetaKeySKUID, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(0)},
	}
	statistics := append(tcp(), toPort(StatsPort)...)
	add(c, chain("prerouting", nftables.ChainHookPrerouting), statistics, redirect(MergedStatsPort))
	add(c, chain("output", nftables.ChainHookOutput), append(others, statistics...), redirect(MergedStatsPort))
	if err := c.Flush(); err != nil {
		return fmt.Errorf("writing nf_tables rules for a proxy's statistics: %w", err)
	}
	return nil
}

func addOutput(c *nftables.Conn, table *nftables.Table) {
	chain := c.AddChain(&nftables.Chain{
		Name: "output", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	})
	proxy := []expr.Any{
		&expr.Meta{Key: expr.MetaKeySKUID, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(ProxyUID)},
	}
	loopback := []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{127, 0, 0, 1}},
	}
	add(c, chain, proxy, leave())
	add(c, chain, loopback, leave())
	add(c, chain, tcp(), redirect(outboundPort))
}

func addPrerouting(c *nftables.Conn, table *nftables.Table, excluded []uint16) {
	chain := c.AddChain(&nftables.Chain{
		Name: "prerouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	})
	for _, port := range excluded {
		add(c, chain, append(tcp(), toPort(port)...), leave())
	}
	add(c, chain, tcp(), redirect(inboundPort))
}

func add(c *nftables.Conn, chain *nftables.Chain, match, verdict []expr.Any) {
	exprs := append(append([]expr.Any{}, match...), verdict...)
	c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: exprs})
}

func tcp() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
	}
}

func toPort(port uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
	}
}

func leave() []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}}
}

func redirect(port uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
		&expr.Redir{RegisterProtoMin: 1},
	}
}
