// The functions that a PAC script may call. What computes or looks up is native; dates stay here, where
// the engine knows the time zone.
(function (native) {
  "use strict";
  const days = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
  const months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
  const Day = Date;
  const upper = (word) => String(word).toUpperCase();
  const address4 = /^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$/;
  const ipv4 = (host) => {
    const name = String(host);
    if (address4.test(name)) return name;
    for (const one of native.resolve(name).split(";")) {
      if (address4.test(one)) return one;
    }
    return null;
  };
  const any = (host) => {
    const name = String(host);
    return name.indexOf(":") >= 0 || address4.test(name) ? name : native.resolve(name);
  };

  // Arguments without a last "GMT", and the present fields in the zone that it asks for.
  const dated = (given) => {
    const list = Array.prototype.slice.call(given);
    const gmt = list.length > 0 && upper(list[list.length - 1]) === "GMT";
    if (gmt) list.pop();
    const ms = native.now();
    const now = ms === null ? new Day() : new Day(ms);
    const zone = gmt ? "getUTC" : "get";
    return { list: list, field: (name) => now[zone + name]() };
  };
  const between = (now, from, to) =>
    from <= to ? from <= now && now <= to : from <= now || now <= to;

  const functions = {
    isPlainHostName: (host) => String(host).indexOf(".") < 0 && String(host).indexOf(":") < 0,
    dnsDomainIs: (host, domain) => {
      const name = String(host).toLowerCase(), end = String(domain).toLowerCase();
      return name.length >= end.length && name.slice(name.length - end.length) === end;
    },
    localHostOrDomainIs: (host, whole) => {
      const name = String(host).toLowerCase(), full = String(whole).toLowerCase();
      return name === full || (name.indexOf(".") < 0 && full.indexOf(name + ".") === 0);
    },
    isResolvable: (host) => ipv4(host) !== null,
    isResolvableEx: (host) => any(host) !== "",
    isInNet: (host, network, mask) => {
      const address = ipv4(host);
      return address !== null && native.inNet(address, String(network), String(mask));
    },
    isInNetEx: (host, prefixes) => {
      const addresses = any(host).split(";");
      return String(prefixes).split(";").some((prefix) =>
        addresses.some((address) => native.inPrefix(address, prefix)));
    },
    dnsResolve: (host) => ipv4(host),
    dnsResolveEx: (host) => any(host),
    myIpAddress: () => {
      for (const one of native.own().split(";")) {
        if (address4.test(one)) return one;
      }
      return "127.0.0.1";
    },
    myIpAddressEx: () => native.own(),
    sortIpAddressList: (list) => native.sort(String(list)),
    getClientVersion: () => "1.0",
    dnsDomainLevels: (host) => String(host).split(".").length - 1,
    shExpMatch: (text, pattern) => native.glob(String(text), String(pattern)),
    alert: () => undefined,

    weekdayRange: function () {
      const asked = dated(arguments);
      const from = days.indexOf(upper(asked.list[0]));
      const to = asked.list.length > 1 ? days.indexOf(upper(asked.list[1])) : from;
      if (from < 0 || to < 0 || asked.list.length > 2) return false;
      return between(asked.field("Day"), from, to);
    },

    dateRange: function () {
      const asked = dated(arguments);
      const read = (word) => {
        const month = months.indexOf(upper(word));
        if (month >= 0) return { weight: 100, value: month + 1 };
        const number = Number(word);
        if (!(number >= 1 && number <= 9999) || number % 1 !== 0) return null;
        return number > 31 ? { weight: 10000, value: number } : { weight: 1, value: number };
      };
      const parts = asked.list.map(read);
      const half = parts.length === 1 ? 1 : parts.length / 2;
      if (parts.length < 1 || half % 1 !== 0 || half > 3 || parts.indexOf(null) >= 0) return false;
      const from = parts.slice(0, half), to = parts.slice(parts.length - half);
      const fields = { 1: asked.field("Date"), 100: asked.field("Month") + 1, 10000: asked.field("FullYear") };
      const sum = (list, value) => list.reduce((all, part) => all + part.weight * value(part), 0);
      const kind = (list) => list.map((part) => part.weight).sort().join();
      if (kind(from) !== kind(to)) return false;
      const now = sum(from, (part) => fields[part.weight]);
      const first = sum(from, (part) => part.value), last = sum(to, (part) => part.value);
      const hasYear = from.some((part) => part.weight === 10000);
      return hasYear ? first <= now && now <= last : between(now, first, last);
    },

    timeRange: function () {
      const asked = dated(arguments);
      const list = asked.list.map(Number);
      if (list.some((number) => !(number >= 0))) return false;
      const hour = asked.field("Hours");
      const now = (hour * 60 + asked.field("Minutes")) * 60 + asked.field("Seconds");
      switch (list.length) {
        case 1: return hour === list[0];
        case 2: return between(hour, list[0], list[1]);
        case 4: return between(now, (list[0] * 60 + list[1]) * 60, (list[2] * 60 + list[3]) * 60 + 59);
        case 6: return between(now, (list[0] * 60 + list[1]) * 60 + list[2], (list[3] * 60 + list[4]) * 60 + list[5]);
        default: return false;
      }
    },
  };
  for (const name of Object.keys(functions)) {
    // A script may bring its own function of the same name.
    Object.defineProperty(globalThis, name, { value: functions[name], writable: true, configurable: true });
  }
})
