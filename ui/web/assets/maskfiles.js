// Masks as files. Written as an 8-bit grey PNG, byte for byte: a canvas would make four channels of it, and take ten
// times as long.
Easel.greyPng = (() => {
  const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
  const table = Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    return c;
  });

  function crc(bytes) {
    let c = 0xffffffff;
    for (const byte of bytes) c = table[(c ^ byte) & 255] ^ (c >>> 8);
    return (c ^ 0xffffffff) >>> 0;
  }

  function chunk(name, content) {
    const bytes = new Uint8Array(12 + content.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, content.length);
    for (let k = 0; k < 4; k += 1) bytes[4 + k] = name.charCodeAt(k);
    bytes.set(content, 8);
    view.setUint32(8 + content.length, crc(bytes.subarray(4, 8 + content.length)));
    return bytes;
  }

  /** Each row begins with its filter: 0, none. */
  function rows({ width, height, data }) {
    const filtered = new Uint8Array((width + 1) * height);
    for (let y = 0; y < height; y += 1) {
      filtered.set(data.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
    }
    return filtered;
  }

  async function deflated(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** { width, height, data: Uint8Array } as a Blob. */
  return async mask => {
    const header = new Uint8Array(13);
    const view = new DataView(header.buffer);
    view.setUint32(0, mask.width);
    view.setUint32(4, mask.height);
    header.set([8, 0, 0, 0, 0], 8); // 8 bits, grey
    const parts = [chunk('IHDR', header), chunk('IDAT', await deflated(rows(mask))), chunk('IEND', new Uint8Array())];
    return new Blob([Uint8Array.from(SIGNATURE), ...parts], { type: 'image/png' });
  };
})();

/**
 * The numbers of a mask file: as bright as it is, or where it is transparent as opaque. Throws
 * { problem, fix, canStretch } when it is of another size than the picture and shall not be stretched.
 */
Easel.readMask = async (file, { width, height }, stretch) => {
  const image = await createImageBitmap(file, { premultiplyAlpha: 'none', colorSpaceConversion: 'none' });
  if (!stretch && (image.width !== width || image.height !== height)) {
    const told = { w: image.width, h: image.height, width, height };
    const problem = Easel.say('canvas.mask_size', told);
    throw Object.assign(new Error(problem), { problem, fix: Easel.say('canvas.mask_size.fix'), canStretch: true });
  }
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  image.close();
  const bytes = context.getImageData(0, 0, width, height).data;
  let isOpaque = true;
  for (let k = 3; k < bytes.length && isOpaque; k += 4) isOpaque = bytes[k] === 255;
  const levels = new Uint8Array(width * height);
  for (let k = 0, at = 0; k < levels.length; k += 1, at += 4) {
    const r = bytes[at],
      g = bytes[at + 1],
      b = bytes[at + 2];
    if (!isOpaque) levels[k] = bytes[at + 3];
    else levels[k] = r === g && g === b ? r : Math.round(0.299 * r + 0.587 * g + 0.114 * b);
  }
  return levels;
};
