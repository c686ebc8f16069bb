#!/bin/sh
# The first process of a root image: the guest's program, and nothing else.
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mkdir -p /run/cos/recovery
mount -t ext4 -o ro /dev/vda3 /run/cos/recovery
stty -F /dev/ttyS1 raw -echo
export PATH=/bin:/sbin LD_LIBRARY_PATH=/lib
/usr/local/node /usr/local/guest.mjs
echo "the guest's program has ended"
reboot -f
