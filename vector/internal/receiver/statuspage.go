// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"os"
	"strconv"

	"github.com/outkpl/outkpl/internal/remedy"
	"github.com/outkpl/outkpl/internal/version"
	"github.com/outkpl/outkpl/vector/internal/status"
)

// StatusPage makes the status page of the server. Its Run has to be started, and
// Register puts it on the admin listener: page.Register(server.Handle). log may be nil.
func (s *Server) StatusPage(log *status.Log) *status.Page {
	host, _ := os.Hostname() // without a name the page shows none
	return status.New(status.Config{
		Program: "kpl-http", Version: version.Version(), Producer: s.producer, Server: s.status, Log: log,
		Region: s.where.region, Endpoint: s.where.endpoint, Host: host, Names: remedy.Receiver,
		Bounds: LatencyBounds[:], AggregationMaxBytes: s.cfg.Producer.AggregationMaxBytes,
		VerifyUncertain: s.cfg.Producer.VerifyUncertain, Now: s.now,
		Listeners: func() map[string]string {
			m := map[string]string{"requests": s.Addr(), "admin": s.AdminAddr()}
			for name, l := range map[string]*grpcListener{"native": s.native, "otlp_grpc": s.otlp} {
				if l != nil {
					m[name] = l.addr()
				}
			}
			return m
		},
	})
}

// status is Stats in the form of the page.
func (s *Server) status() status.Server {
	st := s.Stats()
	out := status.Server{
		Draining: st.Draining, Requests: byStatus(&st.Requests), Rejected: byReason(&st.Rejected),
		InFlight: st.InFlight, Connections: st.Connections, MaxConnections: int64(s.cfg.Server.MaxConnections),
		WireBytes: st.WireBytes, BodyBytes: st.BodyBytes, Events: st.Events, Confirmed: st.Confirmed,
		Dropped: byPoison(&st.Dropped), DeadLettered: byPoison(&st.DeadLettered),
		Resumed: st.Resumed, EventsSaved: st.EventsSaved, Gone: st.GoneBeforeAnswer,
		Memory: status.Memory{Used: st.BudgetUsed, Limit: st.BudgetSize, Waiting: st.BudgetWaiting},
		Ledger: status.Ledger{
			Entries: st.Ledger.Entries, MaxEntries: s.cfg.Ledger.Entries, Bytes: st.Ledger.Bytes, MaxBytes: s.cfg.Ledger.Bytes,
			Hits: st.Ledger.Hits, Expired: st.Ledger.Expired, Evicted: st.Ledger.Evicted,
		},
		Journal: status.Journal{
			On: s.journal != nil, Entries: st.Journal.Entries, Bytes: st.Journal.Bytes, MaxBytes: s.cfg.Journal.MaxBytes,
			Syncs: st.Journal.Syncs, Used: st.Journal.Used, Uncertain: st.Journal.Uncertain, Failed: st.Journal.Failed,
		},
		Buckets: st.AckLatency.Counts[:],
	}
	for i := range st.Routes {
		r := &st.Routes[i]
		out.Routes = append(out.Routes, status.Route{
			Match: r.Match, Requests: byStatus(&r.Requests), Rejected: byReason(&r.Rejected),
			WireBytes: r.WireBytes, BodyBytes: r.BodyBytes, Events: r.Events, Confirmed: r.Confirmed,
		})
	}
	return out
}

// The maps hold only what is not 0, which keeps the answer short.

func byStatus(counts *[len(Statuses)]uint64) map[string]uint64 {
	m := map[string]uint64{}
	for i, n := range counts {
		if n > 0 {
			m[strconv.Itoa(Statuses[i])] = n
		}
	}
	return m
}

func byReason(counts *[reasonCount]uint64) map[string]uint64 {
	m := map[string]uint64{}
	for i, n := range counts {
		if n > 0 {
			m[Reason(i).String()] = n
		}
	}
	return m
}

func byPoison(counts *[poisonCount]uint64) map[string]uint64 {
	m := map[string]uint64{}
	for i, n := range counts {
		if n > 0 {
			m[PoisonReason(i).String()] = n
		}
	}
	return m
}
