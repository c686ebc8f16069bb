#!/bin/busybox sh
# What immucore does on Kairos, as far as slots need it: finds the image that GRUB took the kernel from, mounts it by
# the label that the command line names, and goes on there. Where that cannot be, reboots (rd.emergency=reboot).
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in @DRIVERS@; do insmod /lib/$module.ko; done

emergency() {
  echo "initrd: $1"
  sleep 1
  reboot -f
}

for word in $(cat /proc/cmdline); do
  case $word in
    cos-img/filename=*) file=${word#cos-img/filename=} ;;
    root=LABEL=*) label=${word#root=LABEL=} ;;
  esac
done
case $file in
  */recovery.img) partition=COS_RECOVERY ;;
  *) partition=COS_STATE ;;
esac

tries=0
until device=$(findfs LABEL=$partition); do
  tries=$((tries + 1))
  [ $tries -lt 50 ] || emergency "no partition $partition"
  sleep 0.1
done
mount -t ext4 -o ro $device /state || emergency "cannot mount $partition"
losetup /dev/loop0 /state$file || emergency "no image $file"
[ "$(findfs LABEL=$label)" = /dev/loop0 ] || emergency "$file is not labelled $label"
mount -t ext2 -o ro /dev/loop0 /root || emergency "cannot mount $file"

mount -t tmpfs run /root/run
mkdir -p /root/run/initramfs/cos-state
if [ $partition = COS_STATE ]; then
  mount --move /state /root/run/initramfs/cos-state
else
  mount -t ext4 -o ro $(findfs LABEL=COS_STATE) /root/run/initramfs/cos-state
fi
mount -t ext4 $(findfs LABEL=COS_OEM) /root/oem
mount -t ext4 $(findfs LABEL=COS_PERSISTENT) /root/usr/local
umount /sys
exec switch_root /root /init
