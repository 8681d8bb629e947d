#!/usr/bin/env bash
# Starts or stops a SLURM of one node on this machine, for tests; it listens on the loopback interface only.
#   scripts/one_node_slurm.sh start|stop FOLDER
# Needs root, python3 and Debian's packages slurm-wlm and munge. FOLDER holds its configuration, state and logs.
# After start: export SLURM_CONF=FOLDER/slurm.conf
set -eu
action=${1:-} folder=${2:-}
[ -n "$folder" ] || { echo "usage: $0 start|stop FOLDER" >&2; exit 2; }
mkdir -p "$folder"
folder=$(realpath "$folder")

stop() {
	for daemon in slurmd slurmctld munged; do
		if [ -f "$folder/$daemon.pid" ]; then
			pid=$(cat "$folder/$daemon.pid")
			kill "$pid" 2>/dev/null || true
			for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
			rm -f "$folder/$daemon.pid"
		fi
	done
}

start() {
	for program in munged slurmctld slurmd sbatch; do
		command -v $program >/dev/null || { echo "$program is missing: apt-get install slurm-wlm munge" >&2; exit 1; }
	done
	[ "$(id -u)" = 0 ] || { echo "starting SLURM's daemons needs root" >&2; exit 1; }
	stop
	mkdir -p "$folder"/{state,spool,munge}
	chmod 755 "$folder"
	head -c 128 /dev/urandom >"$folder/munge/key"
	chmod 400 "$folder/munge/key"
	# munge refuses folders that others may write to; its socket must be reachable by all.
	chown -R munge "$folder/munge"
	chmod 755 "$folder/munge"
	su -s /bin/sh munge -c "munged --force --key-file='$folder/munge/key' --socket='$folder/munge/socket' \
		--log-file='$folder/munge/log' --pid-file='$folder/munge/pid' --seed-file='$folder/munge/seed'"
	cp "$folder/munge/pid" "$folder/munged.pid"
	# Free ports: several of these may run at once.
	read -r controller_port node_port < <(python3 -c '
import socket
pair = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in pair))')
	cores=$(nproc)
	memory=$(($(awk '/MemTotal/ {print $2}' /proc/meminfo) / 1024 * 9 / 10))
	# Where a cluster takes its time: a requeued job may start cred_expire seconds later (5 is the least), and jobs whose
	# time has come are looked for every sched_interval seconds.
	cat >"$folder/slurm.conf" <<-CONF
		ClusterName=onenode
		SlurmctldHost=$(hostname -s)(127.0.0.1)
		SlurmctldPort=$controller_port
		SlurmdPort=$node_port
		SlurmUser=root
		AuthType=auth/munge
		AuthInfo=socket=$folder/munge/socket,cred_expire=5
		CryptoType=crypto/munge
		StateSaveLocation=$folder/state
		SlurmdSpoolDir=$folder/spool
		SlurmctldPidFile=$folder/slurmctld.pid
		SlurmdPidFile=$folder/slurmd.pid
		SlurmctldLogFile=$folder/slurmctld.log
		SlurmdLogFile=$folder/slurmd.log
		ProctrackType=proctrack/linuxproc
		TaskPlugin=task/none
		SelectType=select/cons_tres
		SelectTypeParameters=CR_Core
		SchedulerType=sched/backfill
		SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,sched_interval=1,bf_interval=1
		ReturnToService=2
		MpiDefault=none
		KillWait=2
		JobRequeue=1
		MinJobAge=300
		NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
		PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
	CONF
	export SLURM_CONF="$folder/slurm.conf"
	slurmctld -c
	slurmd -c
	for _ in $(seq 600); do # two minutes and more: the machine may be loaded
		[ "$(sinfo --noheader --format=%t 2>/dev/null)" = idle ] && { echo "$SLURM_CONF"; return; }
		sleep 0.2
	done
	echo "the node is not ready: $(sinfo 2>&1 | tail -1); see $folder/slurmctld.log" >&2
	exit 1
}

case $action in
start | stop) $action ;;
*) echo "usage: $0 start|stop FOLDER" >&2; exit 2 ;;
esac
