/** Where golden tests compute: `npm run check:gpu` sets it to a GPU. */
export const device = process.env["ODIS_TEST_DEVICE"] ?? "cpu";
