#!/bin/sh
# entrypoint.sh jobmanager | taskmanager | job [OPTION...] - the three parts of a Flink cluster, each the
# process 1 of its container. JOBMANAGER: the host name of the JobManager.
set -eu
master=${JOBMANAGER:-jobmanager}
role=$1
shift

case $role in
jobmanager)
    exec "$FLINK_HOME/bin/jobmanager.sh" start-foreground -D jobmanager.rpc.address="$master" \
        -D jobmanager.bind-host=0.0.0.0 -D rest.address="$master" -D rest.bind-address=0.0.0.0 \
        -D jobmanager.memory.process.size="${JOBMANAGER_MEMORY:-1g}" "$@"
    ;;
taskmanager)
    exec "$FLINK_HOME/bin/taskmanager.sh" start-foreground -D jobmanager.rpc.address="$master" \
        -D taskmanager.bind-host=0.0.0.0 -D taskmanager.host="$(hostname -i | cut -d' ' -f1)" \
        -D taskmanager.numberOfTaskSlots="${SLOTS:-2}" \
        -D taskmanager.memory.process.size="${TASKMANAGER_MEMORY:-1536m}" "$@"
    ;;
job)
    exec python3 /opt/sluice/job.py "$@"
    ;;
*)
    echo "entrypoint.sh: jobmanager, taskmanager or job, not '$role'" >&2
    exit 2
    ;;
esac
