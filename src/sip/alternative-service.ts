// The body of 380 that sends a device with a call for help to its own phone (TS 24.229, 5.2.10.5 and 7.6). Pure.

export const alternativeServiceType = 'application/3gpp-ims+xml;sv="1"'

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** `reason` is shown to the user. */
export const alternativeService = (reason: string): string =>
  [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<ims-3gpp version="1">',
    '<alternative-service>',
    '<type>emergency</type>',
    `<reason>${escaped(reason)}</reason>`,
    '</alternative-service>',
    '</ims-3gpp>',
    ''
  ].join('\n')
