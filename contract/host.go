package contract

// FirstPlayerUID is the lowest user id of a session's player: that of ordinary users
// (UID_MIN of login.defs). The accounts of the system and its packages, such as
// DCV's, have lower ids.
const FirstPlayerUID = 1000

// FirstSessionPort is the first port that sessions may have: DCV's servers take
// ports above 1024.
const FirstSessionPort = 1025

// LastSessionPort is the last port that sessions may have. A host lets only root bind
// the sessions' ports, which Linux allows only below the ports of outgoing
// connections, 32768-60999 (Documentation/networking/ip-sysctl.rst,
// ip_local_port_range and ip_unprivileged_port_start).
const LastSessionPort = 32767

// AgentPorts are the ECS agent's TCP ports on every host: the introspection API, and
// the tasks' metadata and credentials (README of aws/amazon-ecs-agent).
var AgentPorts = PortRange{First: 51678, Last: 51680}

// HostPorts are the ports that every host uses itself, besides 22: Docker's and the
// ECS agent's (README of aws/amazon-ecs-agent, ECS_RESERVED_PORTS). No session may
// have one of them.
var HostPorts = []PortRange{{First: 2375, Last: 2376}, AgentPorts}

// HostServices are the addresses at which a host serves its own credentials, its
// tasks' credentials, or the metadata that leads to them. Players' processes must
// reach none of them.
var HostServices = []string{
	"169.254.169.254:80", // instance metadata (Amazon EC2 user guide, "Access instance metadata")
	"[fd00:ec2::254]:80", // the same by IPv6
	"169.254.170.2:80",   // tasks' metadata and credentials; the host redirects it to the ECS agent
	"127.0.0.1:51678", "[::1]:51678",
	"127.0.0.1:51679", "[::1]:51679",
	"127.0.0.1:51680", "[::1]:51680",
}
