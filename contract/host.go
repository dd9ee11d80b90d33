package contract

// FirstPlayerUID is the first user id of people (login.defs, UID_MIN). A session's
// player has one from here up; the accounts that the system and its packages make,
// such as DCV's, have ids below.
const FirstPlayerUID = 1000

// FirstSessionPort is the first port that sessions may have: DCV's servers take
// ports above 1024.
const FirstSessionPort = 1025

// LastSessionPort is the last port that sessions may have. A host gives these ports
// to root alone, which Linux does only below the ports that it gives to outgoing
// connections, 32768-60999 (Documentation/networking/ip-sysctl.rst,
// ip_local_port_range and ip_unprivileged_port_start).
const LastSessionPort = 32767

// AgentPorts are TCP ports of the ECS agent on every host: the introspection API,
// and the tasks' metadata and credentials (README of aws/amazon-ecs-agent).
var AgentPorts = PortRange{First: 51678, Last: 51680}

// HostPorts are taken on every host, beside 22: Docker's and the ECS agent's
// (README of aws/amazon-ecs-agent, ECS_RESERVED_PORTS). No session may have one.
var HostPorts = []PortRange{{First: 2375, Last: 2376}, AgentPorts}

// HostServices are where a host answers with its own or its tasks' credentials, or
// with what leads to them. Players' processes must reach none of them.
var HostServices = []string{
	"169.254.169.254:80", // instance metadata (Amazon EC2 user guide, "Access instance metadata")
	"[fd00:ec2::254]:80", // the same by IPv6
	"169.254.170.2:80",   // tasks' metadata and credentials; the host redirects it to the agent
	"127.0.0.1:51678", "[::1]:51678",
	"127.0.0.1:51679", "[::1]:51679",
	"127.0.0.1:51680", "[::1]:51680",
}
